//! Those who ask: each asks, checks what comes back, thinks for a moment, and asks again. One asks only for what is forbidden.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use federation::Asker;
use tokio::task::JoinSet;

use crate::questions::{Asked, Questions, Wrong};
use crate::space::{Chance, INTRUDER, Space};

/// How often a person fetches documents, catalogue and credential anew, as a gateway does.
const RENEWED_EVERY: Duration = Duration::from_secs(terms::limit::GATEWAY_RENEWED_SECONDS);

/// The intruder asks so many times less often than others.
const INTRUDER_PAUSE_FACTOR: u32 = 20;

/// Wrong answers that are printed; more are counted only.
const WRONG_PRINTED_MAX: usize = 20;

/// The people, until they are told to end.
pub(crate) struct Asking {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

/// Lets all people ask.
pub(crate) async fn ask(space: &Space, questions: &Arc<Questions>, tally: &Arc<Tally>, pause: Duration) -> Asking {
    let mut tasks = JoinSet::new();
    let stop = Arc::new(AtomicBool::new(false));
    for (seed, name) in space.people.iter().map(String::as_str).chain([INTRUDER]).enumerate() {
        let intrudes = name == INTRUDER;
        let person = Person {
            asker: space.asker(name).await.unwrap(),
            questions: Arc::clone(questions),
            tally: Arc::clone(tally),
            chance: Chance(seed as u64),
            pause: pause * if intrudes { INTRUDER_PAUSE_FACTOR } else { 1 },
            intrudes,
        };
        tasks.spawn(Box::pin(person.go_on(Arc::clone(&stop))));
    }
    Asking { tasks, stop }
}

impl Asking {
    /// Waits for the answers that are still on their way.
    pub(crate) async fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

struct Person {
    asker: Asker,
    questions: Arc<Questions>,
    tally: Arc<Tally>,
    chance: Chance,
    pause: Duration,
    intrudes: bool,
}

impl Person {
    async fn go_on(mut self, stop: Arc<AtomicBool>) {
        let questions = Arc::clone(&self.questions);
        let mut renewed = Instant::now();
        while !stop.load(Ordering::SeqCst) {
            if renewed.elapsed() > RENEWED_EVERY {
                match Box::pin(self.asker.renewed()).await {
                    Ok(asker) => self.asker = asker,
                    Err(report) => self.tally.note("renewal", Duration::ZERO, Err(Wrong::renewal(&report))),
                }
                renewed = Instant::now();
            }
            let asked = match self.intrudes {
                true => questions.forbidden(&mut self.chance),
                false => questions.any(&mut self.chance),
            };
            self.ask(asked).await;
            tokio::time::sleep(self.pause).await;
        }
    }

    async fn ask(&self, asked: &Asked) {
        let began = Instant::now();
        let answer = Box::pin(self.asker.ask(&asked.question)).await;
        let took = began.elapsed();
        self.tally.note(asked.kind, took, self.questions.judge(asked, &answer));
    }
}

impl Wrong {
    fn renewal(report: &terms::Report) -> Self {
        Self {
            code: report.problem.code(),
            why: report.message.clone(),
        }
    }
}

/// What came back, and how long it took: in all, and since it was last asked.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    whole: Whole,
    lately: Lately,
}

/// Of all questions.
#[derive(Clone, Default)]
pub(crate) struct Whole {
    kinds: BTreeMap<&'static str, Vec<Duration>>,
    errors: BTreeMap<&'static str, u64>,
}

/// Of the last few seconds.
#[derive(Clone, Default)]
pub(crate) struct Lately {
    pub(crate) times: Vec<Duration>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn note(&self, kind: &'static str, took: Duration, judged: Result<(), Wrong>) {
        let mut counts = self.0.lock().unwrap();
        counts.whole.kinds.entry(kind).or_default().push(took);
        counts.lately.times.push(took);
        if let Err(wrong) = judged {
            if counts.whole.errors.values().sum::<u64>() < WRONG_PRINTED_MAX as u64 {
                let why: String = wrong.why.chars().take(400).collect();
                println!("NOT RIGHT: {kind}: {} {why}", wrong.code);
            }
            *counts.whole.errors.entry(wrong.code).or_default() += 1;
            *counts.lately.errors.entry(wrong.code).or_default() += 1;
        }
    }

    pub(crate) fn lately(&self) -> Lately {
        std::mem::take(&mut self.0.lock().unwrap().lately)
    }

    pub(crate) fn whole(&self) -> Whole {
        self.0.lock().unwrap().whole.clone()
    }
}

impl Whole {
    pub(crate) fn is_right(&self) -> bool {
        self.errors.is_empty() && !self.kinds.is_empty()
    }

    /// A line for each kind of question.
    pub(crate) fn table(&self) -> String {
        let mut table = "| question | asked | p50 | p95 | p99 | longest |\n|---|---|---|---|---|---|\n".to_owned();
        let all: Vec<Duration> = self.kinds.values().flatten().copied().collect();
        let kinds = self.kinds.iter().map(|(kind, times)| (*kind, times.clone()));
        for (kind, times) in kinds.chain([("all", all)]) {
            let at = |share| milliseconds(percentile(&times, share));
            writeln!(
                table,
                "| {kind} | {} | {} | {} | {} | {} |",
                times.len(),
                at(0.5),
                at(0.95),
                at(0.99),
                at(1.0)
            )
            .unwrap();
        }
        match self.errors.is_empty() {
            true => table.push_str("\nwrong or missing answers: none\n"),
            false => writeln!(table, "\nwrong or missing answers: {:?}", self.errors).unwrap(),
        }
        table
    }
}

/// The time within which this share of all came.
pub(crate) fn percentile(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = (times.len() as f64 * share).ceil() as usize;
    times.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

/// In words for a table.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
