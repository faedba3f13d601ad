//! Which test provokes which refusal: one table for all of them. A refusal without a test does not pass, nor does a row whose test
//! is gone or does not speak of the refusal any more.
use remoteproc_refusal::Refusal;
use std::path::Path;

/// A test file, a test in it, and the refusals that it provokes.
type Row = (&'static str, &'static str, &'static [Refusal]);

/// Provokes each refusal of the reader, and fails if one of the catalogue was not seen.
const SWEEP: &str = "every_refusal_of_the_reader_has_its_defect";

const PROVOKED: &[Row] = &[
    (
        "image/tests/container/refusals.rs",
        SWEEP,
        &[
            Refusal::TooShort,
            Refusal::BadMagic,
            Refusal::BadVersion,
            Refusal::EmptyTlvArea,
            Refusal::EmptySignature,
            Refusal::MetadataTooLarge,
            Refusal::SizeMismatch,
            Refusal::TlvMalformed,
            Refusal::ImageSizesMismatch,
            Refusal::SignatureTypeMissing,
            Refusal::SignatureTypeUnknown,
            Refusal::SignatureInvalid,
            Refusal::SignatureLength,
            Refusal::NoTrustedKey,
            Refusal::HashTypeMissing,
            Refusal::HashTypeUnknown,
            Refusal::ImageCountMissing,
            Refusal::ImageCountMalformed,
            Refusal::TooManyImages,
            Refusal::ImageTypeMissing,
            Refusal::ImageTypeMalformed,
            Refusal::ImageTypeUnknown,
            Refusal::ImageSizeMissing,
            Refusal::ImageSizeMalformed,
            Refusal::HashTableMissing,
            Refusal::HashTableMalformed,
            Refusal::TooManySegments,
            Refusal::NothingToLoad,
            Refusal::SegmentSizes,
            Refusal::SegmentOutsideRegions,
            Refusal::SegmentsOverlap,
            Refusal::ExecutableInShared,
            Refusal::SegmentOutsideImage,
            Refusal::PlatformTlvUnknown,
            Refusal::SegmentAddressOverflow,
            Refusal::SegmentsShareBytes,
            Refusal::NoDecryptionKey,
            Refusal::EncryptionTypeUnknown,
            Refusal::EncryptionMixed,
            Refusal::ElfMalformed,
            Refusal::ProgramHeadersOutside,
            Refusal::ProgramHeadersMismatch,
            Refusal::SegmentNotInFile,
            Refusal::SectionHeadersMalformed,
            Refusal::TooManySections,
            Refusal::SegmentHashMismatch,
            Refusal::ResourceTableTwice,
            Refusal::ResourceTableOutside,
            Refusal::ResourceTableNotShared,
            Refusal::ResourceTableMisaligned,
            Refusal::ResourceTableMalformed,
            Refusal::ResourceEntryMalformed,
            Refusal::ResourceTableTooLarge,
            Refusal::BootAddressMalformed,
            Refusal::BootAddressOutside,
            Refusal::BootAddressMisaligned,
            Refusal::BootSecurityMalformed,
            Refusal::BootSecurityUnsupported,
            Refusal::BootAddressInShared,
        ],
    ),
    ("image/tests/container/keys.rs", "a_revoked_key_is_refused_by_name", &[Refusal::KeyRevoked]),
    ("image/tests/container/keys.rs", "key_id_chooses_among_the_trusted_keys", &[Refusal::KeyIdUnknown]),
    (
        "image/tests/container/keys.rs",
        "the_vector_with_key_information_loads_by_hash",
        &[Refusal::KeyInformationMissing],
    ),
    (
        "image/tests/container/keys.rs",
        "a_key_known_by_its_hash_comes_with_the_image",
        &[Refusal::KeyInformationUntrusted],
    ),
    (
        "image/tests/container/keys.rs",
        "key_information_that_is_no_key_is_refused",
        &[Refusal::KeyInformationMalformed],
    ),
    (
        "image/tests/container/encrypted.rs",
        "without_the_right_kind_of_key_nothing_is_loaded",
        &[Refusal::EncryptionUnsupported],
    ),
    (
        "image/tests/container/encrypted.rs",
        "the_tlvs_of_an_encrypted_image_have_to_agree",
        &[Refusal::EncryptionTableMissing, Refusal::EncryptionTableMalformed],
    ),
    (
        "image/tests/container/encrypted.rs",
        "the_table_of_an_encrypted_image_holds_loads_then_zeros",
        &[Refusal::EncryptedSegmentSize],
    ),
    (
        "image/tests/container/own.rs",
        "malformed_own_tlvs_are_refused",
        &[Refusal::OwnTlvMalformed, Refusal::TargetMismatch],
    ),
    (
        "image/tests/container/own.rs",
        "images_below_the_platforms_counter_are_refused",
        &[Refusal::CounterTooLow, Refusal::CounterTooHigh],
    ),
    (
        "service/tests/encrypted.rs",
        "without_isolation_an_encrypted_image_needs_the_manifests_leave",
        &[Refusal::EncryptionNotAllowed],
    ),
    (
        "image/tests/container/own.rs",
        "a_signed_table_obeys_the_rules_and_its_hash",
        &[Refusal::ResourceTableHashMismatch],
    ),
    (
        "service/tests/lifecycle.rs",
        "an_image_without_a_boot_address_loads_and_does_not_start",
        &[Refusal::NoBootAddress],
    ),
    ("image/tests/container/order.rs", "calls_out_of_order_are_refused", &[Refusal::CallOutOfOrder]),
    (
        "service/tests/lifecycle.rs",
        "requests_that_make_no_sense_are_answered",
        &[Refusal::UnknownProcessor, Refusal::UnknownCommand, Refusal::FlagsUnknown, Refusal::NotImplemented],
    ),
    (
        "service/tests/lifecycle.rs",
        "a_bad_image_after_stop_leaves_memory_and_owner_alone",
        &[Refusal::NotOwner],
    ),
    ("service/tests/lifecycle.rs", "start_before_load_is_refused", &[Refusal::NotLoaded]),
    ("service/tests/lifecycle.rs", "another_image_while_loaded_is_refused", &[Refusal::AnotherImageLoaded]),
    (
        "service/tests/lifecycle.rs",
        "recovery_is_stop_load_start_without_release",
        &[Refusal::IsRunning, Refusal::IsStopped],
    ),
    ("service/tests/table.rs", "the_contract_row_by_row", &[Refusal::LoadInProgress]),
    (
        "service/tests/slices.rs",
        "one_client_loads_two_processors",
        &[Refusal::MetadataSlotsFull, Refusal::HandleInUse],
    ),
    (
        "service/tests/processors.rs",
        "a_processor_may_be_for_some_endpoints_only",
        &[Refusal::EndpointNotAllowed],
    ),
    ("service/tests/confirm.rs", "what_is_not_confirmed_can_be_gone_back_from", &[Refusal::NotRunning]),
    (
        "service/tests/client_memory.rs",
        "what_the_spmc_says_of_a_handle",
        &[Refusal::HandleUnknown, Refusal::TooManyRanges, Refusal::ShareMalformed, Refusal::SpmcBusy],
    ),
    ("service/tests/client_memory.rs", "a_share_without_a_byte", &[Refusal::ShareTooSmall]),
    ("service/tests/client_memory.rs", "a_share_that_is_not_normal_world", &[Refusal::RangeNotNormalWorld]),
    (
        "service/tests/client_memory.rs",
        "ranges_that_a_client_must_not_name",
        &[
            Refusal::RangeOutsideNormalMemory,
            Refusal::RangeOverlapsPartition,
            Refusal::RangeOverlapsProcessor,
            Refusal::RangeOverlapsDevice,
            Refusal::RangeMisaligned,
        ],
    ),
    ("service/tests/client_memory.rs", "an_abort_while_the_metadata_is_read", &[Refusal::MemoryAbort]),
    (
        "service/tests/client_memory.rs",
        "offsets_and_flags_that_are_not_for_this_version",
        &[Refusal::OffsetUnexpected],
    ),
    (
        "service/tests/events.rs",
        "only_the_owner_binds_one_notification_at_a_time",
        &[Refusal::NotificationOutOfRange],
    ),
    ("service/tests/events.rs", "without_notifications_the_status_tells", &[Refusal::NoNotifications]),
    ("service/tests/measurements.rs", "loads_that_are_not_kept", &[Refusal::MeasurementUnknown]),
    ("service/tests/hardware.rs", "hardware_that_stays_busy_has_failed", &[Refusal::HardwareFailed]),
    (
        "service/tests/failures.rs",
        "memory_that_can_not_be_cleared_stays_closed_and_owned",
        &[Refusal::DestinationAbort],
    ),
    (
        "service/tests/hardware.rs",
        "without_isolation_and_consent_nothing_is_served",
        &[Refusal::IsolationFailed],
    ),
    (
        "service/tests/encrypted.rs",
        "a_counter_that_is_not_written_holds_the_processor_again",
        &[Refusal::CounterWriteFailed],
    ),
    (
        "tools/rproc-image/tests/refused.rs",
        "every_refusal_of_the_tool_has_its_defect",
        &[
            Refusal::InputAlreadySigned,
            Refusal::InputStaticLibrary,
            Refusal::InputNotElf,
            Refusal::InputOtherArchitecture,
            Refusal::InputNotExecutable,
            Refusal::InputCannotBeSigned,
            Refusal::ResourceTableNotSignable,
            Refusal::AttachedSignatureInvalid,
            Refusal::NotToBeAttached,
        ],
    ),
    ("service/tests/door_t.rs", "calls_that_make_no_sense_are_answered", &[Refusal::RequestLength]),
    ("service/tests/door_t.rs", "chunks_that_do_not_fit_the_buffer", &[Refusal::ChunkOutside]),
    ("service/tests/door_t.rs", "buffers_are_their_owners", &[Refusal::BufferHeld]),
    ("service/tests/door_t.rs", "no_endpoint_takes_all_buffers", &[Refusal::BuffersFull]),
];

fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of a source file.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

#[test]
fn every_refusal_is_provoked_by_a_named_test() {
    for refusal in Refusal::ALL {
        let rows = PROVOKED.iter().filter(|(_, _, refusals)| refusals.contains(refusal)).count();
        assert_eq!(
            rows, 1,
            "{refusal}: write a test that provokes it, and name the test in this table, once"
        );
    }
}

#[test]
fn the_named_tests_are_there_and_speak_of_their_refusals() {
    for (path, test, refusals) in PROVOKED {
        let text = source(path);
        let (before, after) =
            text.split_once(&format!("fn {test}(")).unwrap_or_else(|| panic!("{path} has no test {test}"));
        let attributes = before.rsplit_once("\n\n").map_or(before, |(_, attributes)| attributes);
        assert!(attributes.contains("#[test]"), "{path}: {test} is no test");
        assert!(!attributes.contains("#[ignore"), "{path}: {test} is not run");
        // One that goes through a table of defects checks by itself that none is left out.
        let body = if *test == SWEEP { text.as_str() } else { after.split("\n}\n").next().unwrap_or(after) };
        for refusal in *refusals {
            let variant = format!("{refusal:?}");
            let named = words(body).any(|word| word == variant || word == refusal.name());
            assert!(named, "{path}: {test} does not speak of {refusal}");
        }
    }
}
