//! The table of states as a whole: complete, and with the properties that the rest of the crate relies on.
use remoteproc_refusal::Refusal;
use remoteproc_service::lifecycle::{Ask, Event, Input, Pending, State, Verdict, transition};

fn pendings() -> impl Iterator<Item = Option<Pending>> {
    Pending::ALL.into_iter().map(Some).chain([None])
}

#[test]
fn an_ask_never_moves_a_state_and_an_event_never_refuses() {
    for state in State::ALL {
        for pending in pendings() {
            for ask in Ask::ALL {
                let verdict = transition(state, pending, Input::Ask(ask));
                assert!(
                    !matches!(verdict, Verdict::Become(_) | Verdict::Impossible),
                    "{state} {ask:?}: {verdict:?}"
                );
                assert!(verdict != Verdict::OnlyTheSame || ask == Ask::Load);
            }
            for event in Event::ALL {
                let verdict = transition(state, pending, Input::Event(event));
                assert!(
                    matches!(verdict, Verdict::Become(_) | Verdict::Impossible),
                    "{state} {event:?}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn the_contract_row_by_row() {
    use Refusal::{IsRunning, IsStopped, LoadInProgress, NotLoaded};
    use Verdict::{AlreadySo as Same, OnlyTheSame as Only, Proceed as Go, Refuse as No};
    // LOAD, START, STOP, GET_RSC_TABLE, RELEASE.
    let rows = [
        (State::Offline, [Go, No(NotLoaded), Same, No(NotLoaded), Same]),
        (State::Loading, [Go, No(LoadInProgress), No(LoadInProgress), No(LoadInProgress), Go]),
        (State::Loaded, [Only, Go, Same, Go, Go]),
        (State::Running, [No(IsRunning), Same, Go, Go, No(IsRunning)]),
        (State::Crashed, [No(IsRunning), No(IsStopped), Go, Go, Go]),
        (State::Stopped, [Go, No(IsStopped), Same, Go, Go]),
    ];
    for (state, row) in rows {
        for (ask, verdict) in Ask::ALL.into_iter().zip(row) {
            assert_eq!(transition(state, None, Input::Ask(ask)), verdict, "{state} {ask:?}");
        }
    }
}

#[test]
fn only_a_complete_load_is_started_and_only_a_claim_begins_one() {
    for state in State::ALL {
        let becomes = |event| transition(state, None, Input::Event(event));
        assert_eq!(becomes(Event::Started) == Verdict::Become(State::Running), state == State::Loaded);
        assert_eq!(becomes(Event::LoadDone) == Verdict::Become(State::Loaded), state == State::Loading);
        let may_be_claimed = matches!(state, State::Offline | State::Stopped);
        assert_eq!(becomes(Event::Claimed) == Verdict::Become(State::Loading), may_be_claimed);
        // A running processor's memory is never declared clear.
        if matches!(state, State::Running | State::Crashed) {
            assert_eq!(becomes(Event::Wiped), Verdict::Impossible);
        }
    }
}

#[test]
fn every_state_has_a_way_home() {
    for state in State::ALL {
        let stop = transition(state, None, Input::Ask(Ask::Stop));
        let stopped = match stop {
            Verdict::Proceed => State::Stopped,
            _ => state,
        };
        let release = transition(stopped, None, Input::Ask(Ask::Release));
        assert!(
            matches!(release, Verdict::Proceed | Verdict::AlreadySo),
            "{state} then {stopped}: {release:?}"
        );
    }
}
