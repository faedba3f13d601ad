//! Notifications of the partition to the normal world.
use super::*;

const CREATE: u64 = ffa::NOTIFICATION_BITMAP_CREATE as u64;
const DESTROY: u64 = ffa::NOTIFICATION_BITMAP_DESTROY as u64;
const BIND: u64 = ffa::NOTIFICATION_BIND as u64;
const UNBIND: u64 = ffa::NOTIFICATION_UNBIND as u64;
const SET: u64 = ffa::NOTIFICATION_SET as u64;
const GET: u64 = ffa::NOTIFICATION_GET as u64;
const INFORMATION: u64 = ffa::NOTIFICATION_INFO_GET as u64;
const INFORMATION_64: u64 = INFORMATION | SMC64 as u64;
const NO_DATA: u64 = FfaError::NoData.register();
const FROM_PARTITION: u64 = 0x8001_0000;

impl Bench {
    /// An endpoint has bound all notifications to the partition, which serves a request.
    fn bound(endpoint: u64) -> Self {
        let mut bench = Self::ready();
        assert_eq!(bench.normal(&[CREATE, endpoint, 1])[0], OK);
        let all = 0xffff_ffff;
        assert_eq!(bench.normal(&[BIND, FROM_PARTITION | endpoint, 0, all, all])[0], OK);
        bench.request();
        bench
    }
}

#[test]
fn a_notification_is_pending_until_it_is_got() {
    let mut bench = Bench::bound(0);
    assert_eq!(bench.normal(&[INFORMATION])[..3], [ERROR, 0, NO_DATA]);
    assert_eq!(bench.secure(&[SET, FROM_PARTITION, 0, 0x20, 0x8000_0000])[..3], [OK, 0, 0]);
    assert_eq!(bench.machine.raised, [8]);
    assert_eq!(bench.secure(&[SET, FROM_PARTITION, 2, 0x1, 0])[..3], [OK, 0, 0], "with the delay");
    assert_eq!(bench.machine.raised, [8, 8]);
    // One list of one id.
    assert_eq!(bench.normal(&[INFORMATION_64])[..4], [OK | u64::from(SMC64), 0, 1 << 7, 0]);
    assert_eq!(bench.normal(&[INFORMATION])[..3], [ERROR, 0, NO_DATA], "told once");
    assert_eq!(bench.normal(&[GET, 0, 1])[..6], [OK, 0, 0x21, 0x8000_0000, 0, 0]);
    assert_eq!(bench.normal(&[GET, 0, 1])[..6], [OK, 0, 0, 0, 0, 0]);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn what_is_not_bound_is_denied_and_no_breach() {
    let mut bench = Bench::ready();
    bench.request();
    assert_eq!(bench.secure(&[SET, FROM_PARTITION, 0, 1])[..3], [ERROR, 0, DENIED], "no bitmap");
    assert_eq!(bench.normal(&[CREATE, 0, 1])[0], OK);
    assert_eq!(bench.secure(&[SET, FROM_PARTITION, 0, 1])[..3], [ERROR, 0, DENIED], "not bound");
    assert_eq!(bench.normal(&[BIND, FROM_PARTITION, 0, 2])[0], OK);
    assert_eq!(bench.secure(&[SET, FROM_PARTITION, 0, 3])[..3], [ERROR, 0, DENIED], "not all bound");
    assert_eq!(bench.normal(&[GET, 0, 1])[2], 0);
    assert_eq!((bench.rules().len(), bench.machine.raised.len()), (0, 0));
}

#[test]
fn the_partition_signals_in_its_own_name_and_nobody_but_the_normal_world() {
    let mut bench = Bench::bound(0);
    for arguments in [
        [SET, 0, 0, 1, 0, 0],
        [SET, 0x8002_0000, 0, 1, 0, 0],
        [SET, FROM_PARTITION | 0x8001, 0, 1, 0, 0],
        [SET, FROM_PARTITION, 1, 1, 0, 0],
        [SET, FROM_PARTITION, 0, 0, 0, 0],
        [SET, FROM_PARTITION, 0, 1, 0, 1],
    ] {
        assert_eq!(bench.secure(&arguments)[..3], [ERROR, 0, INVALID], "{arguments:x?}");
        assert_eq!(bench.rules().len(), 1, "{arguments:x?}");
    }
    assert_eq!(bench.normal(&[GET, 0, 1])[2], 0);
    // Nor is it the normal world's to signal, or the partition's to bind.
    assert_eq!(bench.normal(&[SET, FROM_PARTITION, 0, 1])[..3], [ERROR, 0, NOT_SUPPORTED]);
    assert_eq!(bench.secure(&[BIND, FROM_PARTITION, 0, 1])[..3], [ERROR, 0, NOT_SUPPORTED]);
}

#[test]
fn bitmaps_and_bindings_are_used_in_order() {
    let mut bench = Bench::ready();
    for endpoint in [0, 7] {
        assert_eq!(bench.normal(&[BIND, FROM_PARTITION | endpoint, 0, 1])[2], DENIED, "no bitmap");
        assert_eq!(bench.normal(&[CREATE, endpoint, 0])[2], INVALID, "no vCPU");
        assert_eq!(bench.normal(&[CREATE, endpoint, 1])[0], OK);
        assert_eq!(bench.normal(&[CREATE, endpoint, 1])[2], DENIED, "twice");
        assert_eq!(bench.normal(&[BIND, FROM_PARTITION | endpoint, 1, 1])[2], INVALID, "for a vCPU");
        assert_eq!(bench.normal(&[BIND, 0x8002_0000 | endpoint, 0, 1])[2], INVALID, "no such partition");
        assert_eq!(bench.normal(&[BIND, FROM_PARTITION | endpoint, 0, 0])[2], INVALID, "nothing");
        assert_eq!(bench.normal(&[BIND, FROM_PARTITION | endpoint, 0, 3])[0], OK);
        assert_eq!(bench.normal(&[BIND, FROM_PARTITION | endpoint, 0, 6])[2], DENIED, "twice");
        assert_eq!(bench.normal(&[UNBIND, FROM_PARTITION | endpoint, 0, 6])[2], DENIED, "not bound");
        assert_eq!(bench.normal(&[GET, endpoint, 3])[2], INVALID, "those of virtual machines");
    }
    bench.request();
    assert_eq!(bench.secure(&[SET, FROM_PARTITION | 7, 0, 2])[0], OK);
    assert_eq!(bench.normal(&[UNBIND, FROM_PARTITION | 7, 0, 2])[2], DENIED, "pending");
    assert_eq!(bench.normal(&[DESTROY, 7])[2], DENIED, "pending");
    assert_eq!(bench.normal(&[GET, 0, 1])[2], 0, "another endpoint's");
    assert_eq!(bench.normal(&[INFORMATION])[..4], [OK, 0, 1 << 7, 7]);
    assert_eq!(bench.normal(&[GET, 7, 1])[2], 2);
    assert_eq!(bench.normal(&[UNBIND, FROM_PARTITION | 7, 0, 3])[0], OK);
    assert_eq!(bench.normal(&[DESTROY, 7])[0], OK);
    assert_eq!(bench.normal(&[DESTROY, 7])[2], DENIED);
    assert_eq!(bench.normal(&[CREATE, 0x8001, 1])[2], INVALID);
    assert_eq!(bench.normal(&[CREATE, 0x1_0000, 1])[2], INVALID);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn features_say_who_may_call_what() {
    let mut bench = Bench::ready();
    let features =
        |bench: &mut Bench, world, id: u64| bench.returned(world, &[ffa::FEATURES.into(), id])[..3].to_vec();
    assert_eq!(features(&mut bench, World::Normal, 2), [OK, 0, 8], "the schedule receiver interrupt");
    for id in [CREATE, DESTROY, BIND, UNBIND, GET, INFORMATION, INFORMATION_64] {
        assert_eq!(features(&mut bench, World::Normal, id)[0], OK, "{id:#x}");
        assert_eq!(features(&mut bench, World::Secure, id)[0], ERROR, "{id:#x}");
    }
    assert_eq!(features(&mut bench, World::Secure, SET)[0], OK);
    assert_eq!(features(&mut bench, World::Normal, SET)[0], ERROR);
    let silent = Manifest { notifications: false, ..manifest() };
    let mut bench = Bench::with(silent).initialized();
    assert_eq!(features(&mut bench, World::Normal, 2)[0], ERROR);
    assert_eq!(features(&mut bench, World::Secure, SET)[0], ERROR);
    assert_eq!(bench.normal(&[CREATE, 0, 1])[..3], [ERROR, 0, NOT_SUPPORTED]);
}
