//! Several clients that load at once, and one that does other things in mid-load: what they are refused with is seen nowhere else.
use super::messages::{Message, RELEASE, START, STOP};
use super::pool::Pool;
use super::{ENDPOINTS, Fuzzer};
use crate::context::HYPERVISOR;
use crate::framework::Outcome;
use crate::{expect, failure};
use remoteproc_abi::status::ProcessorState;

const GET_RSC_TABLE: u64 = 4;
/// Requests until a load has claimed the processor, at most.
const MOST_REQUESTS: u32 = 10_000;

impl Fuzzer<'_> {
    /// While nothing is loaded: three clients begin, one names another one's memory, a fourth has no room. One of them claims the
    /// processor and is asked for other things. In the end nothing is under way any more.
    pub fn crowd(&mut self, pool: &Pool) -> Outcome {
        self.in_crowd = true;
        let outcome = self.loads_at_once(pool);
        self.in_crowd = false;
        outcome
    }

    fn loads_at_once(&mut self, pool: &Pool) -> Outcome {
        // The hypervisor may have left a load.
        self.tell(HYPERVISOR, RELEASE)?;
        let mut clients = ENDPOINTS;
        clients.rotate_left(self.random.below(4) as usize);
        let [first, second, third, fourth] = clients;
        self.load(first, pool, first)?;
        self.load(second, pool, first)?;
        for client in [second, third, fourth] {
            self.load(client, pool, client)?;
        }
        let mut requests = 0;
        while self.state_now()? != ProcessorState::Loading {
            requests += 1;
            expect!(requests < MOST_REQUESTS, "a load never claims the processor");
            self.load(first, pool, first)?;
        }
        for command in [START, STOP, GET_RSC_TABLE] {
            self.tell(first, command)?;
            self.tell(fourth, command)?;
        }
        self.tell(second, RELEASE)?;
        // There is room now, but the memory is held by this client's load.
        let message = Message::load(&mut self.random, first, pool.image(first)?).of_processor(1);
        self.send(message)?;
        for client in [third, first] {
            self.tell(client, RELEASE)?;
        }
        // What they were told has ended what they had begun, but for those who were not owners.
        for client in clients {
            self.tell(client, RELEASE)?;
        }
        // Nothing is loaded now: one may load in one call, and names memory that does not hold all of its image.
        let part = pool.part()?;
        let message = Message::load(&mut self.random, part.endpoint, part);
        self.send(message)?;
        self.context.client.tee().speak_for(HYPERVISOR);
        let held = self.buffers.held();
        self.context.expect_counts(0, held)
    }

    /// One LOAD_FW of the image of `owner`.
    fn load(&mut self, sender: u16, pool: &Pool, owner: u16) -> Outcome {
        let message = Message::load(&mut self.random, sender, pool.image(owner)?);
        self.send(message)
    }

    fn tell(&mut self, sender: u16, command: u64) -> Outcome {
        let message = Message::door_d(&mut self.random, sender, [command, 0, 0, 0, 0]);
        self.send(message)
    }

    fn state_now(&mut self) -> Outcome<ProcessorState> {
        let status = self.context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
        Ok(status.state)
    }
}
