//! One worker: a thread with its own runtime, sockets and proxy core. Here sockets, clocks, the gate and the proxy meet.
//!
//! Every turn takes what has come in (datagrams, messages handed over by other workers, answers of the gate, due timers), reads the
//! clocks once, lets the proxy work and does what it asks for. Nothing here waits for anything but the next turn.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Sleep, sleep_until};
use tracing::{error, warn};

use super::clock::WallClock;
use super::shard::Shards;
use super::shared::Shared;
use crate::gate::{Decision, Gate, Question};
use crate::ledger::Answer;
use crate::sip::proxy::{AskId, Load, Output, Proxy, Settings};
use crate::sip::transport::{Bound, Connections, Sockets};
use crate::sip::{Flow, Now};
use crate::telemetry::Metrics;

/// Messages that other workers may hand over before they are dropped and counted; SIP's retransmissions make them good.
pub(super) const INBOX: usize = 4096;

/// Handed-over messages, and answers of the gate, taken in one turn.
const TAKEN_A_TURN: usize = 128;

/// A turn that receives as many messages as this has probably left some unread: a socket gives two batches of 32 a turn.
const BEHIND: usize = 64;

/// Sleep while the proxy has no timer.
const IDLE: Duration = Duration::from_secs(3600);

/// Pause before a worker that panicked starts anew, so that a fault at start does not keep a processor busy.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// What comes from other threads.
pub(super) enum Inbound {
    /// A message of a call that lives here.
    Message(Flow, Bytes),
    /// A destination cannot be reached; the kernel tells any one of the sockets that share an address.
    Unreachable(Flow),
    /// A message of the worker at that position, to go by a connection that lives here.
    Send(usize, Flow, Bytes),
    /// Something changed in [`Shared`].
    Look,
}

/// What a worker is made of; outlives each of its incarnations.
pub(super) struct Worker {
    pub position: usize,
    pub bound: Vec<Bound>,
    pub connections: Arc<Connections>,
    pub settings: Settings,
    pub shared: Arc<Shared>,
    pub shards: Shards,
    pub inbox: mpsc::Receiver<Inbound>,
    /// Everybody's inbox, this worker's included, by position.
    pub others: Vec<mpsc::Sender<Inbound>>,
    pub gate: Gate,
    pub metrics: Arc<Metrics>,
    pub clock: WallClock,
}

impl Worker {
    /// Runs until told to stop. A panic must not silence the line: it is counted and said, and the worker starts anew on the same
    /// sockets with an empty proxy. Calls that were being set up are lost to it (their reservations count, their messages are then
    /// handled as those of a proxy that was restarted); dialogs go on, since nothing is kept for them.
    pub(super) fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.live())) {
                Ok(Ok(())) => return,
                Ok(Err(fault)) => error!(worker = self.position, %fault, "a worker could not start; trying again"),
                Err(_) => error!(worker = self.position, "a worker panicked; starting it anew"),
            }
            self.shared.count_restart();
            std::thread::sleep(RESTART_PAUSE);
            if self.shared.is_stopping() {
                return;
            }
        }
    }

    /// One incarnation.
    fn live(&mut self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut turn = Turn::new(self)?;
            turn.run().await;
            Ok(())
        })
    }
}

/// The state of one incarnation.
struct Turn<'a> {
    worker: &'a mut Worker,
    proxy: Proxy,
    sockets: Sockets,
    /// Generation of the routing in force here.
    generation: u64,
    draining: bool,
    sleep: Pin<Box<Sleep>>,
    received: Vec<(Flow, Bytes)>,
    handed: Vec<Inbound>,
    /// Questions that the gate could not answer at once.
    waiting: JoinSet<Decision>,
    asked: FxHashMap<Id, (AskId, Question)>,
    answered: Vec<Result<(Id, Decision), JoinError>>,
    /// In force in this worker's sockets and proxy.
    load: Load,
    /// The kernel takes a filter; until it has refused one.
    can_hold_back: bool,
    dropped: u64,
}

impl<'a> Turn<'a> {
    fn new(worker: &'a mut Worker) -> io::Result<Self> {
        let (generation, routing) = worker.shared.routing();
        Ok(Self {
            proxy: Proxy::new(worker.settings.clone(), routing, Arc::clone(&worker.metrics)),
            sockets: Sockets::new(&worker.bound, worker.position, &worker.connections)?,
            generation,
            draining: false,
            sleep: Box::pin(sleep_until((Instant::now() + IDLE).into())),
            received: Vec::new(),
            handed: Vec::new(),
            waiting: JoinSet::new(),
            asked: FxHashMap::default(),
            answered: Vec::new(),
            load: Load::default(),
            can_hold_back: true,
            dropped: 0,
            worker,
        })
    }

    async fn run(&mut self) {
        if self.worker.position == 0 {
            self.proxy.probe(self.worker.clock.now());
            self.do_outputs(self.worker.clock.now());
        }
        let mut done = Instant::now();
        loop {
            // Receiving and sending happen in there too: idle is only the time for which nothing was to do.
            let (mut idle, mut parked) = (Duration::ZERO, None::<Instant>);
            poll_fn(|cx| {
                if let Some(since) = parked.take() {
                    idle += since.elapsed();
                }
                let input = self.poll_input(cx);
                if input.is_pending() {
                    parked = Some(Instant::now());
                }
                input
            })
            .await;
            if self.sockets.has_connections() {
                // Their tasks run between two turns; a worker that is never out of work would keep them from it.
                tokio::task::yield_now().await;
            }
            if self.worker.shared.is_stopping() {
                return;
            }
            if self.received.len() < BEHIND && self.handed.len() < TAKEN_A_TURN {
                self.proxy.caught_up();
            }
            let now = self.worker.clock.now();
            self.look();
            self.take_answers(now);
            self.take_messages(now);
            self.take_failures(now);
            if self.proxy.poll_timeout().is_some_and(|due| due <= now.mono) {
                self.proxy.timeout(now);
            }
            self.do_outputs(now);
            self.publish();
            let begun = std::mem::replace(&mut done, Instant::now());
            let whole = done.saturating_duration_since(begun);
            self.proxy.worked(whole.saturating_sub(idle), idle);
        }
    }

    /// Flushes, then collects from every input; ready once there is something to do.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = self.sockets.poll_flush(cx);
        let mut ready = self.sockets.poll_receive(cx, &mut self.received).is_ready();
        ready |= self.sockets.has_failures();
        ready |= self
            .worker
            .inbox
            .poll_recv_many(cx, &mut self.handed, TAKEN_A_TURN)
            .is_ready();
        while self.answered.len() < TAKEN_A_TURN {
            let Poll::Ready(Some(answer)) = self.waiting.poll_join_next_with_id(cx) else {
                break;
            };
            self.answered.push(answer);
            ready = true;
        }
        let due = self
            .proxy
            .poll_timeout()
            .unwrap_or_else(|| self.sleep.deadline().into_std());
        if self.sleep.deadline().into_std() != due {
            self.sleep.as_mut().reset(due.into());
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            self.sleep.as_mut().reset((Instant::now() + IDLE).into());
            ready = true;
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes over what changed for all workers.
    fn look(&mut self) {
        if self.worker.shared.generation() != self.generation {
            let (generation, routing) = self.worker.shared.routing();
            self.generation = generation;
            self.proxy.set_routing(routing);
            self.sockets.renew();
        }
        if self.worker.shared.is_draining() && !self.draining {
            self.draining = true;
            self.proxy.drain();
        }
    }

    fn take_answers(&mut self, now: Now) {
        let gate = &self.worker.gate;
        for answer in self.answered.drain(..) {
            let (id, decision) = match answer {
                Ok((id, decision)) => (id, Some(decision)),
                Err(failed) => (failed.id(), None),
            };
            if let Some((ask, question)) = self.asked.remove(&id) {
                // A question whose answer was lost to a panic gets what a store that does not answer gives.
                let decision = decision.unwrap_or_else(|| gate.without_store(&question, now.wall));
                self.proxy.decide(now, ask, decision);
            }
        }
    }

    fn take_messages(&mut self, now: Now) {
        for inbound in self.handed.drain(..) {
            match inbound {
                Inbound::Message(flow, bytes) => self.proxy.receive(now, flow, bytes),
                Inbound::Unreachable(flow) => self.proxy.send_failed(now, flow),
                Inbound::Send(sender, flow, bytes) => self.sockets.send_for(sender, flow, bytes),
                Inbound::Look => {}
            }
        }
        for (flow, bytes) in self.received.drain(..) {
            match self.worker.shards.worker_of(&bytes) {
                Some(other) if other != self.worker.position => {
                    if self.worker.others[other]
                        .try_send(Inbound::Message(flow, bytes))
                        .is_err()
                    {
                        self.worker.shared.count_dropped(1);
                    }
                }
                _ => self.proxy.receive(now, flow, bytes),
            }
        }
    }

    fn take_failures(&mut self, now: Now) {
        for failure in self.sockets.failures() {
            for (position, other) in self.worker.others.iter().enumerate() {
                if failure.workers & (1 << position) == 0 {
                    continue;
                }
                if position == self.worker.position {
                    self.proxy.send_failed(now, failure.flow);
                } else {
                    // A full inbox: its worker's timers find out.
                    let _ = other.try_send(Inbound::Unreachable(failure.flow));
                }
            }
        }
    }

    fn do_outputs(&mut self, now: Now) {
        while let Some(output) = self.proxy.poll() {
            match output {
                Output::Send { flow, bytes } => self.send(flow, bytes),
                Output::Ask { id, question } => match self.worker.gate.admit(&question, now.wall) {
                    Answer::Ready(decision) => self.proxy.decide(now, id, decision),
                    // Bounded by the proxy's `max_asks`.
                    Answer::Later(later) => {
                        let task = self.waiting.spawn(later).id();
                        self.asked.insert(task, (id, question));
                    }
                },
                Output::Settle { reservation, outcome } => reservation.settle(outcome, now.wall),
            }
        }
    }

    /// By a socket of this worker, or through the worker that has the connection.
    fn send(&mut self, flow: Flow, bytes: Bytes) {
        let Some(other) = self.sockets.elsewhere(&flow) else {
            return self.sockets.send(flow, bytes);
        };
        let handed = Inbound::Send(self.worker.position, flow, bytes);
        let inbox = self.worker.others.get(other);
        if inbox.is_none_or(|inbox| inbox.try_send(handed).is_err()) {
            self.worker.shared.count_dropped(1);
        }
    }

    /// Puts in force what the workers have found out about the load, and shows it.
    fn take_load(&mut self, mut load: Load) {
        if load.held_back != self.load.held_back {
            let listeners = self.worker.settings.listeners.iter();
            let advertised = listeners.map(|listener| &*listener.advertise);
            if let Err(fault) = self.sockets.hold_back(load.held_back, advertised) {
                warn!(worker = self.worker.position, %fault, "new calls cannot be held back: all are read");
                self.can_hold_back = false;
                load.held_back = 0;
            }
        }
        self.proxy.set_load(load);
        self.load = load;
        let metrics = &self.worker.metrics;
        metrics.overload_refused.set(i64::from(load.loss));
        metrics.overload_unread.set(i64::from(load.held_back));
    }

    /// Lets the others see what they wait for, and what went wrong here.
    fn publish(&mut self) {
        // Counting walks every transaction: for the drain only.
        if self.draining {
            self.worker
                .shared
                .set_pending(self.worker.position, self.proxy.pending());
        }
        let mut load = self.worker.shared.exchange(self.worker.position, self.proxy.load());
        if !self.can_hold_back {
            load.held_back = 0;
        }
        if load != self.load {
            self.take_load(load);
        }
        let dropped = self.sockets.dropped();
        if dropped > self.dropped {
            if self.dropped == 0 {
                warn!(
                    worker = self.worker.position,
                    "a send queue is full; messages are dropped"
                );
            }
            self.worker.shared.count_dropped(dropped - self.dropped);
            self.dropped = dropped;
        }
    }
}
