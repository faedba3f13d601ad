//! Golden registers of the message loop, and the property that every request gets its answer.
use super::*;
use proptest::prelude::*;

const IDENTITY: Identity = Identity { partition: 0x8001, spmc: 0x8000 };
const WAIT: u64 = 0x8400_006B;

/// Door D's UUID in registers, as docs/abi.md writes it.
const DOOR_D: [u64; 2] = [0x0549_470a_75c2_a480, 0x081a_77a9_8614_8582];
/// Door T's.
const DOOR_T: [u64; 2] = [0x5147_5e82_d776_cdbd, 0xac43_49f8_d486_3b96];

/// Answers with what it was given, and counts.
#[derive(Default)]
struct Echo {
    calls: usize,
    rpc_calls: usize,
    client: EndpointId,
    interrupts: usize,
    gone: Vec<EndpointId>,
}

impl Service for Echo {
    fn handle(&mut self, client: EndpointId, request: &door_d::Registers) -> door_d::Registers {
        self.calls += 1;
        self.client = client;
        *request
    }

    fn handle_rpc(&mut self, client: EndpointId, request: &ts_rpc::Registers) -> ts_rpc::Registers {
        self.rpc_calls += 1;
        self.client = client;
        *request
    }

    fn virtual_machine_gone(&mut self, id: EndpointId) -> bool {
        self.gone.push(id);
        true
    }

    fn waits(&mut self) {}

    fn interrupted(&mut self) {
        self.interrupts += 1;
    }
}

fn registers(first: &[u64]) -> Registers {
    let mut all = [0; 18];
    all[..first.len()].copy_from_slice(first);
    all
}

/// Answers, and tells how often the service was asked.
fn ask(first: &[u64]) -> (Registers, Echo) {
    let mut echo = Echo::default();
    let answer = answer(IDENTITY, &registers(first), &mut echo);
    (answer, echo)
}

#[test]
fn a_64_bit_partition_message_reaches_the_service() {
    let mut request = registers(&[0xC400_006F, 0x0005_8001, 0, 1, 2, 3, 4, u64::MAX]);
    // Stale values above the payload neither reach the service nor come back.
    request[8..].fill(0x55);
    let mut echo = Echo::default();
    let response = answer(IDENTITY, &request, &mut echo);
    assert_eq!(response, registers(&[0xC400_0070, 0x8001_0005, 0, 1, 2, 3, 4, u64::MAX]));
    assert_eq!((echo.calls, echo.client), (1, 5));
}

#[test]
fn a_32_bit_partition_message_goes_to_door_t() {
    let mut request = registers(&[0x8400_006F, 0x0005_8001, 0, 0xFF_0001, 5, 6, 7, 0xFFFF_FFFF]);
    // Upper halves are no part of the message, nor are the registers behind the payload.
    for register in &mut request[2..8] {
        *register |= 0xDEAD << 32;
    }
    request[8..].fill(0x55);
    let mut echo = Echo::default();
    let response = answer(IDENTITY, &request, &mut echo);
    let expected = [0x8400_0070, 0x8001_0005, 0, 0xFF_0001, 5, 6, 7, 0xFFFF_FFFF];
    assert_eq!(response, registers(&expected));
    assert_eq!((echo.calls, echo.rpc_calls, echo.client), (0, 1, 5));
}

#[test]
fn a_request_of_the_second_family_reaches_the_service_behind_door_d() {
    let mut request = registers(&[0xC400_008D, 0x0005_8001, DOOR_D[0], DOOR_D[1], 1, 2, 3, 4, u64::MAX]);
    // Registers behind the payload mean nothing.
    request[9..].fill(0x55);
    let mut echo = Echo::default();
    let response = answer(IDENTITY, &request, &mut echo);
    assert_eq!(response, registers(&[0xC400_008E, 0x8001_0005, 0, 0, 1, 2, 3, 4, u64::MAX]));
    assert_eq!((echo.calls, echo.client), (1, 5));
}

#[test]
fn the_second_family_with_another_uuid_is_answered_not_supported() {
    for [low, high] in [[0, 0], DOOR_T, [DOOR_D[0], DOOR_D[1] ^ 1], [DOOR_D[1], DOOR_D[0]]] {
        let (response, echo) = ask(&[0xC400_008D, 0x0000_8001, low, high, 9, 9]);
        assert_eq!(response, registers(&[0xC400_008E, 0x8001_0000, 0, 0, 0xFFFF_000A]));
        assert_eq!(echo.calls, 0);
    }
}

#[test]
fn psci_messages_count_from_the_spmc_only() {
    let cpu_off = 0x8400_0002;
    let (response, _) = ask(&[0x8400_006F, 0x8000_8001, 0x8000_0000, cpu_off]);
    assert_eq!(response, registers(&[0x8400_0070, 0x8001_8000, 0x8000_0002, 0]));
    let (response, _) = ask(&[0x8400_006F, 0x0000_8001, 0x8000_0000, cpu_off]);
    assert_eq!(response, registers(&[0x8400_0070, 0x8001_0000, 0x8000_0002, 0xFFFF_FFFD]));
    let (response, _) = ask(&[0xC400_006F, 0x8000_8001, 0x8000_0000, 0xC400_0001]);
    assert_eq!(response, registers(&[0xC400_0070, 0x8001_8000, 0x8000_0002, 0]));
}

#[test]
fn messages_about_virtual_machines_count_from_the_hypervisor_only() {
    for (request, reply) in [(0x8000_0004, 0x8000_0005), (0x8000_0006, 0x8000_0007)] {
        let (response, _) = ask(&[0x8400_006F, 0x0000_8001, request, 0, 0, 3]);
        assert_eq!(response, registers(&[0x8400_0070, 0x8001_0000, reply, 0]));
        for sender in [3, 0x8000] {
            let (response, echo) = ask(&[0x8400_006F, sender << 16 | 0x8001, request, 0, 0, 3]);
            assert_eq!(response, registers(&[0x8400_0070, 0x8001_0000 | sender, reply, 0xFFFF_FFFA]));
            assert_eq!(echo.calls, 0);
        }
    }
}

#[test]
fn an_unknown_framework_message_is_answered_and_changes_nothing() {
    let (response, echo) = ask(&[0x8400_006F, 0x8000_8001, 0x8000_0055, 1]);
    assert_eq!(response, registers(&[0x8400_0070, 0x8001_8000, 0x8000_0055, 0xFFFF_FFFF]));
    assert_eq!(echo.calls, 0);
}

#[test]
fn later_framework_requests_get_their_responses() {
    for request in [8, 10, 12, 14] {
        let (response, _) = ask(&[0x8400_006F, 0x8000_8001, 0x8000_0000 | request, 1]);
        assert_eq!(response, registers(&[0x8400_0070, 0x8001_8000, 0x8000_0001 | request, 0xFFFF_FFFF]));
    }
}

#[test]
fn an_interrupt_is_told_and_waited_through() {
    // Hafnium tells the interrupt's id, an SPMC at EL3 nothing.
    for received in [&[0x8400_0062][..], &[0x8400_0062, 0, 40], &[0xFFFF_FFFF_8400_0062]] {
        assert!(is_interrupt(&registers(received)));
        let (response, echo) = ask(received);
        assert_eq!((response, echo.calls, echo.interrupts), (registers(&[WAIT]), 0, 1));
    }
    assert!(!is_interrupt(&registers(&[0x8400_0061])));
    assert_eq!(answer(IDENTITY, &registers(&[0x8400_0062]), &mut Dead), registers(&[WAIT]));
}

#[test]
fn anything_else_is_waited_through() {
    for function in [0x8400_0060, 0x8400_0061, 0x8400_0062, 0x8400_006D, 0x8400_0070, 0, u64::MAX] {
        let (response, echo) = ask(&[function, 0x0000_8001, 0xFFFF_FFFE]);
        assert_eq!(response, registers(&[WAIT]));
        assert_eq!(echo.calls, 0);
    }
}

#[test]
fn the_dead_answer_what_was_pending() {
    let pending = registers(&[0xC400_006F, 0x0000_8001, 0, 1, 2, 3, 4, 5]);
    let response = registers(&[0xC400_0070, 0x8001_0000, 0, 0xFFFF_3024]);
    assert_eq!(answer_of_the_dead(IDENTITY, &pending), Some(response));
    assert_eq!(answer_of_the_dead(IDENTITY, &registers(&[])), None);
    let call = registers(&[0x8400_006F, 0x0000_8001, 0, 1]);
    let response = registers(&[0x8400_0070, 0x8001_0000, 0, 1, 0, 0xFFFF_3024]);
    assert_eq!(answer_of_the_dead(IDENTITY, &call), Some(response));
    let version = registers(&[0x8400_006F, 0x0000_8001, 0, 0xFF_0000]);
    let response = registers(&[0x8400_0070, 0x8001_0000, 0, 0xFF_0000, 0xFFFF_FFFF]);
    assert_eq!(answer_of_the_dead(IDENTITY, &version), Some(response));
    let second = registers(&[0xC400_008D, 0x0000_8001, DOOR_D[0], DOOR_D[1], 1]);
    let response = registers(&[0xC400_008E, 0x8001_0000, 0, 0, 0xFFFF_3024]);
    assert_eq!(answer_of_the_dead(IDENTITY, &second), Some(response));
}

#[test]
fn the_status_of_an_error_is_in_w2() {
    assert_eq!(error_status(&registers(&[0x8400_0060, 0, 0xFFFF_FFFF_FFFF_FFFE])), Some(-2));
    assert_eq!(error_status(&registers(&[0xC400_0060, 0, 0xFFFF_FFFA])), Some(-6));
    assert_eq!(error_status(&registers(&[0x8400_0061, 0, 0xFFFF_FFFA])), None);
}

/// Function ids near and far from those of FF-A.
fn function_id() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0x60u64..0x95).prop_map(|number| 0x8400_0000 | number),
        (0x60u64..0x95).prop_map(|number| 0xC400_0000 | number),
        Just(0xC400_006F),
        Just(0x8400_006F),
        Just(0xC400_008D),
    ]
}

proptest! {
    #[test]
    fn any_registers_get_one_answer_of_their_family(function in function_id(), others: [u64; 17], known: bool) {
        let mut received = [0; 18];
        received[0] = function;
        received[1..].copy_from_slice(&others);
        if known && function == 0xC400_008D {
            received[2..4].copy_from_slice(&DOOR_D);
        }
        let mut echo = Echo::default();
        let response = answer(IDENTITY, &received, &mut echo);
        let expected = match function & 0xFFFF_FFFF {
            0x8400_006F => 0x8400_0070,
            0xC400_006F => 0xC400_0070,
            0xC400_008D => 0xC400_008E,
            _ => WAIT,
        };
        prop_assert_eq!(response[0], expected);
        if expected == WAIT {
            prop_assert_eq!(&response[1..], &[0; 17]);
        } else {
            prop_assert_eq!(response[1], 0x8001_0000 | (received[1] >> 16 & 0xFFFF));
        }
        let payload_end = if expected == 0xC400_008E { 9 } else { 8 };
        prop_assert!(response[payload_end..].iter().all(|register| *register == 0));
        if expected == 0x8400_0070 {
            prop_assert!(response.iter().all(|register| *register <= u64::from(u32::MAX)));
        }
        // Bit 31 of w2 comes back as it went: framework requests get framework responses.
        if matches!(expected, 0x8400_0070 | 0xC400_0070) {
            prop_assert_eq!(response[2] >> 31, received[2] >> 31 & 1);
        }
        let for_service = match expected {
            0xC400_0070 => received[2] & 1 << 31 == 0,
            0xC400_008E => received[2..4] == DOOR_D,
            _ => false,
        };
        prop_assert_eq!(echo.calls, usize::from(for_service));
        let for_door_t = expected == 0x8400_0070 && received[2] & 1 << 31 == 0;
        prop_assert_eq!(echo.rpc_calls, usize::from(for_door_t));
    }
}

#[test]
fn a_virtual_machine_that_is_gone_is_told_to_the_service() {
    for (function, response) in [(0x8400_006F, 0x8400_0070), (0xC400_006F, 0xC400_0070)] {
        // What is above bits 15:0 of w5, and a handle in w3 and w4, mean nothing.
        let request = [function, 0x0000_8001, 0x8000_0006, 7, 8, 0xDEAD_BEEF_0005_0003];
        let (answer, echo) = ask(&request);
        assert_eq!(answer, registers(&[response, 0x8001_0000, 0x8000_0007, 0]));
        assert_eq!((echo.gone, echo.calls, echo.rpc_calls), (vec![3], 0, 0));
    }
}

#[test]
fn only_virtual_machines_go_and_only_the_hypervisor_says_so() {
    for (sender, id, status) in [
        // Denied to others, the machine itself and other partitions among them.
        (1, 3, 0xFFFF_FFFA_u64),
        (3, 3, 0xFFFF_FFFA),
        (0x8002, 3, 0xFFFF_FFFA),
        // The SPMC among them, whatever it says.
        (0x8000, 3, 0xFFFF_FFFA),
        (0x8000, 0, 0xFFFF_FFFA),
        // Invalid: the hypervisor itself, and what is no virtual machine.
        (0, 0, 0xFFFF_FFFE),
        (0, 0x8001, 0xFFFF_FFFE),
        (0, 0x8002, 0xFFFF_FFFE),
    ] {
        let (answer, echo) = ask(&[0x8400_006F, sender << 16 | 0x8001, 0x8000_0006, 0, 0, id]);
        assert_eq!(answer, registers(&[0x8400_0070, 0x8001_0000 | sender, 0x8000_0007, status]));
        assert!(echo.gone.is_empty(), "{sender:#x} {id:#x}");
    }
}

#[test]
fn what_is_out_of_order_does_not_say_that_it_has_forgotten() {
    let request = registers(&[0x8400_006F, 0x8001, 0x8000_0006, 0, 0, 3]);
    let expected = registers(&[0x8400_0070, 0x8001_0000, 0x8000_0007, 0xFFFF_FFFA]);
    assert_eq!(answer(IDENTITY, &request, &mut Dead), expected);
}
