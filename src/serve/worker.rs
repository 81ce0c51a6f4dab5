//! One worker: a thread with its own runtime and sockets, and a shard of the calls. Here sockets, clocks, the gate and the proxy meet.
//!
//! Every turn takes what has come in (datagrams, messages handed over by other workers, answers of the gate, due timers), reads the
//! clocks once, lets the proxy work and does what it asks for. Nothing here waits for anything but the next turn, or for another
//! worker that is at the same shard.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep_until};
use tracing::{error, warn};

use super::clock::WallClock;
use super::shard::{Handed, Held, Shards};
use super::shared::Shared;
use crate::gate::{Decision, Gate, Question};
use crate::ledger::Answer;
use crate::sip::proxy::{AskId, Load, Output, Proxy};
use crate::sip::transport::{Bound, Connections, Sockets};
use crate::sip::{Flow, Now};
use crate::telemetry::Metrics;

/// Messages that other workers may hand over before they are dropped and counted; SIP's retransmissions make them good.
pub(super) const INBOX: usize = 4096;

/// Handed-over messages, and answers of the gate, taken in one turn.
const TAKEN_A_TURN: usize = 128;

/// A turn that receives more messages than this leaves those of other shards to their workers: there is work for all.
const LIGHT: usize = 8;

/// Sleep while no shard has a timer.
const IDLE: Duration = Duration::from_secs(3600);

/// Pause before a worker that panicked starts anew, so that a fault at start does not keep a processor busy.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// What comes from other threads.
pub(super) enum Inbound {
    /// A message of a call in this worker's shard.
    Message(Flow, Bytes, Handed),
    /// A destination cannot be reached; the kernel tells any one of the sockets that share an address.
    Unreachable(Flow),
    /// A message of the shard at that position, to go by a connection that lives here.
    Send(usize, Flow, Bytes),
    /// Something changed in [`Shared`].
    Look,
}

/// What a worker is made of; outlives each of its incarnations.
pub(super) struct Worker {
    pub position: usize,
    /// What each worker has bound, by position.
    pub bound: Arc<[Vec<Bound>]>,
    pub connections: Arc<Connections>,
    pub shared: Arc<Shared>,
    pub shards: Arc<Shards>,
    pub inbox: mpsc::Receiver<Inbound>,
    /// Everybody's inbox, this worker's included, by position.
    pub others: Vec<mpsc::Sender<Inbound>>,
    pub gate: Gate,
    pub metrics: Arc<Metrics>,
    pub clock: WallClock,
}

impl Worker {
    /// Runs until told to stop. A panic must not silence the line: it is counted and said, and the worker starts anew on the same
    /// sockets. The shard that it was at begins anew too, empty: calls that were being set up there are lost (their reservations count,
    /// their messages are then handled as those of a proxy that was restarted); dialogs go on, since nothing is kept for them.
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
            turn.run().await
        })
    }
}

/// The state of one incarnation.
struct Turn<'a> {
    worker: &'a mut Worker,
    sockets: Sockets,
    /// By shard, when this worker is to look at its timers. The wake-up is stale where another worker watches it by now.
    due: Vec<Option<Instant>>,
    /// Generation of the routing in force in the sockets.
    generation: u64,
    /// How many workers receive, as far as these sockets know.
    receiving: usize,
    sleep: Pin<Box<Sleep>>,
    received: Vec<(Flow, Bytes)>,
    handed: Vec<Inbound>,
    /// Questions that the gate could not answer at once. Polled with everything else: as tasks of the runtime each answer would cost one
    /// more look at the sockets.
    waiting: FuturesUnordered<Asked>,
    answered: Vec<Answered>,
    /// In force in this worker's sockets and proxy.
    load: Load,
    /// The kernel takes a filter; until it has refused one.
    can_hold_back: bool,
    dropped: u64,
}

/// A question that waits for the gate's answer.
struct Asked {
    /// Of its shard.
    position: usize,
    id: AskId,
    question: Question,
    later: Pin<Box<dyn Future<Output = Decision> + Send>>,
}

/// What the gate said.
struct Answered {
    position: usize,
    id: AskId,
    /// A question whose answer was lost to a panic gets what a store that does not answer gives.
    answer: Result<Decision, Question>,
}

impl Future for Asked {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let answer = match catch_unwind(AssertUnwindSafe(|| self.later.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(decision)) => Ok(decision),
            Err(_) => Err(self.question.clone()),
        };
        Poll::Ready(Answered {
            position: self.position,
            id: self.id,
            answer,
        })
    }
}

impl<'a> Turn<'a> {
    fn new(worker: &'a mut Worker) -> io::Result<Self> {
        Ok(Self {
            sockets: Sockets::new(&worker.bound[worker.position], worker.position, &worker.connections)?,
            due: vec![None; worker.shards.len()],
            generation: worker.shared.generation(),
            // Its own sockets and no others.
            receiving: worker.bound.len(),
            sleep: Box::pin(sleep_until((Instant::now() + IDLE).into())),
            received: Vec::new(),
            handed: Vec::new(),
            waiting: FuturesUnordered::new(),
            answered: Vec::new(),
            load: Load::default(),
            can_hold_back: true,
            dropped: 0,
            worker,
        })
    }

    async fn run(&mut self) -> io::Result<()> {
        self.look()?;
        self.take_up(self.worker.clock.now());
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
                return Ok(());
            }
            let caught_up = !self.sockets.left_unread() && self.handed.len() < TAKEN_A_TURN;
            let now = self.worker.clock.now();
            self.look()?;
            self.take_answers(now);
            self.take_messages(now);
            self.take_failures(now);
            self.take_timers(now);
            let begun = std::mem::replace(&mut done, Instant::now());
            let busy = done.saturating_duration_since(begun).saturating_sub(idle);
            self.end_turn(now, |proxy| {
                if caught_up {
                    proxy.caught_up();
                }
                proxy.worked(busy, idle);
            });
            let shared = &self.worker.shared;
            if shared
                .rota
                .worked(self.worker.position, busy, now.mono, || shared.turns_away())
            {
                for other in &self.worker.others {
                    // A worker with a full inbox is awake, and looks at every turn.
                    let _ = other.try_send(Inbound::Look);
                }
            }
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
            let Poll::Ready(Some(answer)) = self.waiting.poll_next_unpin(cx) else {
                break;
            };
            self.answered.push(answer);
            ready = true;
        }
        let due = self.due.iter().flatten().min().copied();
        let due = due.unwrap_or_else(|| self.sleep.deadline().into_std());
        if self.sleep.deadline().into_std() != due {
            self.sleep.as_mut().reset(due.into());
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            self.sleep.as_mut().reset((Instant::now() + IDLE).into());
            ready = true;
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes over what changed for all sockets.
    fn look(&mut self) -> io::Result<()> {
        let shared = &self.worker.shared;
        let generation = shared.generation();
        if generation != self.generation {
            self.generation = generation;
            self.sockets.renew();
        }
        let receiving = shared.rota.receiving();
        if receiving != self.receiving {
            let attended = shared.rota.attended(self.worker.position, receiving);
            let rows: Vec<&[Bound]> = attended.map(|other| &*self.worker.bound[other]).collect();
            self.sockets.attend(&rows)?;
            self.receiving = receiving;
            // By these sockets too.
            if self.load.held_back > 0 {
                self.sockets.hold_back(self.load.held_back)?;
            }
        }
        Ok(())
    }

    /// Begins with the shards that are this worker's to watch.
    fn take_up(&mut self, now: Now) {
        for position in 0..self.due.len() {
            if self.worker.shards[position].is_watched_by(self.worker.position) {
                self.work_in(position, now, |_| ());
            }
        }
    }

    /// Does something in a shard, once nobody else is at it.
    fn work_in(&mut self, position: usize, now: Now, act: impl FnOnce(&mut Proxy)) {
        let shards = Arc::clone(&self.worker.shards);
        self.work(position, shards[position].hold(now), now, act);
    }

    /// Does something in the shard that is held, and whatever the proxy asks for then; watches it from now on.
    fn work(&mut self, position: usize, mut held: Held<'_>, now: Now, act: impl FnOnce(&mut Proxy)) {
        act(&mut held);
        self.do_outputs(position, &mut held, now);
        if self.worker.shared.is_draining() {
            // Counting walks every transaction: for the drain only.
            self.worker.shared.set_pending(position, held.pending());
        }
        self.due[position] = held.poll_timeout();
        self.worker.shards[position].watch(self.worker.position);
    }

    fn take_answers(&mut self, now: Now) {
        let mut answered = std::mem::take(&mut self.answered);
        for Answered { position, id, answer } in answered.drain(..) {
            let decision = answer.unwrap_or_else(|question| self.worker.gate.without_store(&question, now.wall));
            self.work_in(position, now, |proxy| proxy.decide(now, id, decision));
        }
        self.answered = answered;
    }

    fn take_messages(&mut self, now: Now) {
        let (shards, own) = (Arc::clone(&self.worker.shards), self.worker.position);
        let mut handed = std::mem::take(&mut self.handed);
        for inbound in handed.drain(..) {
            match inbound {
                Inbound::Message(flow, bytes, handed) => {
                    let held = shards[own].hold(now);
                    drop(handed);
                    self.work(own, held, now, |proxy| proxy.receive(now, flow, bytes));
                }
                Inbound::Unreachable(flow) => self.work_in(own, now, |proxy| proxy.send_failed(now, flow)),
                Inbound::Send(sender, flow, bytes) => self.sockets.send(sender, flow, bytes),
                // Its timers may have changed.
                Inbound::Look => self.work_in(own, now, |_| ()),
            }
        }
        self.handed = handed;
        let mut received = std::mem::take(&mut self.received);
        let light = received.len() <= LIGHT;
        for (flow, bytes) in received.drain(..) {
            let position = shards.of(&bytes).unwrap_or(own);
            let held = if position == own {
                Some(shards[own].hold(now))
            } else if light {
                shards[position].borrow(now)
            } else {
                None
            };
            match held {
                Some(held) => self.work(position, held, now, |proxy| proxy.receive(now, flow, bytes)),
                None => self.hand_over(position, flow, bytes),
            }
        }
        self.received = received;
    }

    /// To the worker of the shard.
    fn hand_over(&self, position: usize, flow: Flow, bytes: Bytes) {
        let message = Inbound::Message(flow, bytes, Handed::to(&self.worker.shards, position));
        if self.worker.others[position].try_send(message).is_err() {
            self.worker.shared.count_dropped(1);
        }
    }

    fn take_failures(&mut self, now: Now) {
        let own = self.worker.position;
        let failures: Vec<_> = self.sockets.failures().collect();
        for failure in failures {
            for (position, other) in self.worker.others.iter().enumerate() {
                // A full inbox: its worker's timers find out.
                if failure.workers & (1 << position) != 0 && position != own {
                    let _ = other.try_send(Inbound::Unreachable(failure.flow));
                }
            }
            if failure.workers & (1 << own) != 0 {
                self.work_in(own, now, |proxy| proxy.send_failed(now, failure.flow));
            }
        }
    }

    /// Fires the timers that are due, of the shards that are this worker's to watch.
    fn take_timers(&mut self, now: Now) {
        for position in 0..self.due.len() {
            let is_due = self.due[position].take_if(|due| *due <= now.mono).is_some();
            if is_due && self.worker.shards[position].is_watched_by(self.worker.position) {
                self.work_in(position, now, |proxy| proxy.timeout(now));
            }
        }
    }

    fn do_outputs(&mut self, position: usize, proxy: &mut Proxy, now: Now) {
        while let Some(output) = proxy.poll() {
            match output {
                Output::Send { flow, bytes } => self.send(position, flow, bytes),
                Output::Ask { id, question } => match self.worker.gate.admit(&question, now.wall) {
                    Answer::Ready(decision) => proxy.decide(now, id, decision),
                    // Bounded by the proxy's `max_asks`.
                    Answer::Later(later) => self.waiting.push(Asked {
                        position,
                        id,
                        question,
                        later,
                    }),
                },
                Output::Settle { reservation, outcome } => reservation.settle(outcome, now.wall),
            }
        }
    }

    /// By a socket of this worker, or through the worker that has the connection. If it fails, the shard at that position is told.
    fn send(&mut self, position: usize, flow: Flow, bytes: Bytes) {
        let Some(other) = self.sockets.elsewhere(&flow) else {
            return self.sockets.send(position, flow, bytes);
        };
        let handed = Inbound::Send(position, flow, bytes);
        let inbox = self.worker.others.get(other);
        if inbox.is_none_or(|inbox| inbox.try_send(handed).is_err()) {
            self.worker.shared.count_dropped(1);
        }
    }

    /// Puts in force what the workers have found out about the load, and shows it.
    fn take_load(&mut self, mut load: Load) -> Load {
        if load.held_back != self.load.held_back
            && let Err(fault) = self.sockets.hold_back(load.held_back)
        {
            warn!(worker = self.worker.position, %fault, "new calls cannot be held back: all are read");
            self.can_hold_back = false;
            load.held_back = 0;
        }
        self.load = load;
        let metrics = &self.worker.metrics;
        metrics.overload_refused.set(i64::from(load.loss));
        metrics.overload_unread.set(i64::from(load.held_back));
        load
    }

    /// Takes note in this worker's own shard of how the turn went, and lets the others see what they go by and what went wrong here.
    fn end_turn(&mut self, now: Now, note: impl FnOnce(&mut Proxy)) {
        let (shards, own) = (Arc::clone(&self.worker.shards), self.worker.position);
        let mut held = shards[own].hold(now);
        note(&mut held);
        let mut load = self.worker.shared.exchange(own, held.load());
        if !self.can_hold_back {
            load.held_back = 0;
        }
        if load != self.load {
            let load = self.take_load(load);
            held.set_load(load);
        }
        drop(held);
        let dropped = self.sockets.dropped();
        if dropped > self.dropped {
            if self.dropped == 0 {
                warn!(worker = own, "a send queue is full; messages are dropped");
            }
            self.worker.shared.count_dropped(dropped - self.dropped);
            self.dropped = dropped;
        }
    }
}
