//! tests/remote-core/supervisor
