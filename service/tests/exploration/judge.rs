//! What must hold in every state, and of every step from one to the next.
use super::images::Image;
use super::machine::Trouble;
use super::model::{Action, Ask, Exploration, Point, notification};
use remoteproc_abi::door_d::Answer;
use remoteproc_abi::result::TeeResult;
use remoteproc_service::client_memory::EndpointId;
use remoteproc_service::exploration::View;
use remoteproc_service::hardware::{Isolation, Observed};
use remoteproc_service::lifecycle::{Pending, State};

/// What the machine finds by itself.
pub const HARDWARE: &str =
    "nothing runs that was not authenticated, and memory is written only while it is closed";
pub const OTHERS: &str = "nothing changes that belongs to another client, or that nobody asked about";
pub const CLEAR: &str = "the memory of a released processor is clear";
pub const ANSWER: &str = "each request gets one answer, and what it says is so";
pub const STATE: &str = "a state says what the hardware has done";
pub const TOLD: &str = "an owner that has bound a processor's events is told of each, and nobody else is";
pub const HOME: &str = "an owner can give its processor back from every state";

/// A property that does not hold, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Broken {
    pub property: &'static str,
    pub how: &'static str,
}

/// Tells whether a property holds here.
pub fn holds(point: &Point, property: &str) -> bool {
    point.broken.is_none_or(|broken| broken.property != property)
}

/// One step.
pub struct Step<'s> {
    pub action: Action,
    pub before: &'s Point,
    pub after: &'s Point,
    pub answer: Option<Answer>,
}

/// Judges a step.
pub fn step(model: &Exploration, step: &Step<'_>) -> Option<Broken> {
    let Step { action, before, after, answer } = step;
    if let Some(how) = after.world.wrong.filter(|_| model.looks_at(HARDWARE)) {
        return Some(Broken { property: HARDWARE, how });
    }
    if let Some(broken) = told(model, step).or_else(|| counted(model, step)) {
        return Some(broken);
    }
    if let Action::Leaves(client, _) = *action {
        return left_behind(model.clients[client].endpoint, before, after);
    }
    let Action::Asks(client, processor, ask, _) = *action else { return None };
    for index in 0..before.world.cores.len() {
        let (was, is) = (before.view(index), after.view(index));
        let caller = model.clients[client];
        let asks_about_it = index == processor;
        let foreign = was.owner.is_some_and(|owner| owner != caller);
        let may = model.allows(client, processor) && (!foreign || may_take_over(&was, ask));
        if asks_about_it && may {
            continue;
        }
        if asks_about_it
            && ask == Ask::Start
            && may_be_handed_over(model, client, index, &was)
            && is.owner == Some(caller)
        {
            // It changes hands, and nothing else.
            let handed = View { owner: Some(caller), handed_over: true, bound: None, ..was };
            if is != handed || before.world.cores[index] != after.world.cores[index] {
                return Some(Broken { property: OTHERS, how: "a handover changes more than the owner" });
            }
            continue;
        }
        if !is_the_same(&was, &is, before, after, index) {
            let how = if asks_about_it { "another client's processor" } else { "another processor" };
            return Some(Broken { property: OTHERS, how });
        }
    }
    let how = answer.as_ref().and_then(|answer| wrong_answer(step, processor, ask, answer));
    how.map(|how| Broken { property: ANSWER, how })
}

/// Says what stays of a virtual machine that is gone, and what of others has changed.
fn left_behind(endpoint: EndpointId, before: &Point, after: &Point) -> Option<Broken> {
    let broken = |how| Some(Broken { property: OTHERS, how });
    if after.frozen.knows(endpoint) {
        return broken("something stays of a virtual machine that is gone");
    }
    for (index, core) in after.world.cores.iter().enumerate() {
        let (was, is) = (before.view(index), after.view(index));
        if was.owner.is_some_and(|owner| owner.endpoint == endpoint) {
            if !core.told_to_hold {
                return broken("what a virtual machine that is gone had started runs on");
            }
        } else if !is_the_same(&was, &is, before, after, index) {
            return broken("another one's processor goes with a virtual machine");
        }
    }
    None
}

/// Firmware that runs may be taken over, once, by whom the manifest lists for that.
fn may_be_handed_over(model: &Exploration, client: usize, processor: usize, was: &View) -> bool {
    was.state == State::Running
        && was.pending.is_none()
        && !was.handed_over
        && model.allows(client, processor)
        && model.may_attach(client, processor)
}

/// Says who was told of an event that is none of its business, or was not told of its own.
fn told(model: &Exploration, step: &Step<'_>) -> Option<Broken> {
    let Step { action, before, after, .. } = step;
    let broken = |how| Some(Broken { property: TOLD, how });
    let undelivered = matches!(action, Action::Asks(.., Trouble::Notify) | Action::Rings(Trouble::Notify));
    let mut expected = Vec::new();
    for index in 0..before.world.cores.len() {
        let (was, is) = (before.view(index), after.view(index));
        let stopped = was.state == State::Running && before.world.cores[index].state != Observed::Running;
        let seen = stopped && is.state == State::Crashed;
        // A stop and a release find it, too, and go on. What crashes between its release and the answer is seen in the same request.
        let at_once = was.state == State::Loaded && is.state == State::Crashed;
        let Some(owner) = was.bound.filter(|_| stopped || at_once) else { continue };
        let client = model.clients.iter().position(|client| *client == owner).expect("a client");
        let event = (owner.endpoint, notification(client, index));
        if seen && !undelivered && !after.world.told.contains(&event) {
            return broken("an owner is not told");
        }
        expected.push(event);
    }
    let all = &after.world.told;
    let twice = (1..all.len()).any(|index| all[..index].contains(&all[index]));
    if twice || all.iter().any(|event| !expected.contains(event)) {
        return broken("somebody is told of what is not its own, or has not happened");
    }
    None
}

/// Says when a security counter rises at another moment than its owner's CONFIRM or, without that, the start.
fn counted(model: &Exploration, step: &Step<'_>) -> Option<Broken> {
    let Step { action, before, after, answer } = step;
    let broken = |how| Some(Broken { property: STATE, how });
    let result = answer.as_ref().and_then(Answer::tee_result);
    for (index, (was, is)) in before.world.cores.iter().zip(&after.world.cores).enumerate() {
        let moment = if model.more { Ask::Confirm } else { Ask::Start };
        let asks =
            |ask| matches!(*action, Action::Asks(_, processor, now, _) if processor == index && now == ask);
        if was.counter != is.counter && !asks(moment) {
            return broken("the security counter changes at another moment");
        }
        if asks(Ask::Confirm) && result == Some(TeeResult::Success) {
            let kept = is.holds().is_none_or(|(_, counter)| is.counter >= counter);
            if is.state != Observed::Running || after.view(index).state != State::Running || !kept {
                return broken("CONFIRM succeeds, and what it confirms does not run, or does not count");
            }
        }
    }
    None
}

/// A load that was idle for too long falls to another client, whose image's signature verifies.
fn may_take_over(was: &View, ask: Ask) -> bool {
    was.state == State::Loading
        && was.idle
        && matches!(ask, Ask::Load(image) if !matches!(image, Image::Forged | Image::Elsewhere))
}

/// Nothing of a processor has changed, but for a crash that was noticed.
fn is_the_same(was: &View, is: &View, before: &Point, after: &Point, index: usize) -> bool {
    let (core_before, core_after) = (&before.world.cores[index], &after.world.cores[index]);
    let noticed =
        was.state == State::Running && is.state == State::Crashed && core_before.state != Observed::Running;
    let same_state = was.state == is.state || noticed;
    // A takeover that waits for the reset line is not the owner's business, but that of whoever takes over.
    // What has stopped by itself is not waited for any more.
    let same_pending = was.pending == is.pending
        || was.pending == Some(Pending::Load)
        || noticed && was.pending == Some(Pending::GracefulStop);
    core_before == core_after && same_state && was.owner == is.owner && same_pending
}

/// Says what is wrong with an answer.
fn wrong_answer(step: &Step<'_>, processor: usize, ask: Ask, answer: &Answer) -> Option<&'static str> {
    let after = step.after.view(processor);
    let core = &step.after.world.cores[processor];
    let Some(result) = answer.tee_result() else { return Some("a result that is none") };
    if step.after.frozen.shares() != step.after.world.held.len() {
        return Some("client memory is held by nobody, or not by whom it should");
    }
    match (ask, result) {
        (Ask::Load(image), TeeResult::Success) => {
            let loaded = core.holds().map(|(image, _)| image) == Some(image.as_signed());
            let tampered = core.memory[0][5] == 0xee;
            (after.state != State::Loaded || !(loaded || tampered))
                .then_some("LOAD_FW succeeds, and no such image that is signed is loaded")
        }
        (Ask::Start, TeeResult::Success) => {
            let runs = after.state == State::Running && core.state != Observed::Held;
            // It was released, and has crashed before the answer.
            let ran = after.state == State::Crashed && matches!(core.state, Observed::Crashed(_));
            (!runs && !ran).then_some("START_FW succeeds, and it does not run")
        }
        (Ask::Stop | Ask::GracefulStop, TeeResult::Success) => {
            (core.state != Observed::Held).then_some("STOP_FW succeeds, and it is not held")
        }
        (Ask::Release, TeeResult::Success) => {
            let done = after.state == State::Offline && after.owner.is_none() && core.is_clear();
            (!done).then_some("RELEASE_FW succeeds, and it is not released")
        }
        (Ask::Load(_), TeeResult::InProgress) => None,
        (Ask::Start | Ask::Stop | Ask::GracefulStop | Ask::Release, TeeResult::InProgress) => {
            after.pending.is_none().then_some("IN_PROGRESS, and nothing is")
        }
        (Ask::Bind, TeeResult::Success) => (after.bound.is_none() || after.bound != after.owner)
            .then_some("BIND_EVENTS succeeds, and nobody is bound"),
        (Ask::Table | Ask::Status | Ask::Confirm, TeeResult::Success) => None,
        (_, TeeResult::InProgress) => Some("IN_PROGRESS to a question"),
        (_, _) => (answer.values != [0; 4]).then_some("a refusal with values"),
    }
}

/// Judges a state.
pub fn state(point: &Point) -> Option<Broken> {
    (0..point.world.cores.len()).find_map(|index| {
        let (view, core) = (point.view(index), &point.world.cores[index]);
        if view.bound.is_some() && view.bound != view.owner {
            return Some(Broken { property: TOLD, how: "a binding outlives the claim" });
        }
        if view.state == State::Offline {
            let given_back = core.isolation == [Isolation::Normal; 2] && view.owner.is_none();
            if !core.is_clear() || !given_back {
                return Some(Broken { property: CLEAR, how: "OFFLINE" });
            }
        } else if view.owner.is_none() != matches!(view.pending, Some(Pending::Hold | Pending::Clear)) {
            return Some(Broken { property: STATE, how: "it is nobody's, and not to be held and cleared" });
        }
        let how = match view.state {
            // A stop that is under way, or has failed, may have been carried out.
            State::Running if core.state == Observed::Held && !core.told_to_hold => {
                Some("RUNNING, and it is held")
            }
            State::Offline | State::Loading | State::Stopped if core.state != Observed::Held => {
                Some("at rest, and it runs")
            }
            // Its owner may have gone while it was being released.
            State::Loaded
                if core.state != Observed::Held
                    && !matches!(view.pending, Some(Pending::Start | Pending::Hold)) =>
            {
                Some("LOADED, and it runs")
            }
            State::Loaded
                if core.isolation != [Isolation::Running; 2] && view.pending != Some(Pending::Wipe) =>
            {
                Some("LOADED, and it can't reach its memory")
            }
            _ => None,
        };
        how.map(|how| Broken { property: STATE, how })
    })
}
