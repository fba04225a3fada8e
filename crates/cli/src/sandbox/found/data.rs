//! The data of all nodes, checked and added by as many threads as the machine has processors.

use std::fs::File;
use std::io::BufWriter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use engine::Datasets;
use policy::Rules;
use terms::{Clock, MemberId, Problem, Report};

use crate::sandbox::layout::Layout;
use crate::sandbox::progress::Step;
use crate::sandbox::spec::{Dataset, Rows, Spec};

/// Adds the datasets of every node and counts them. Stops at the first that does not fit.
pub(super) fn add_all(
    spec: &Spec,
    layout: &Layout,
    rules: &Rules,
    clock: &dyn Clock,
    step: &Step,
) -> Result<usize, Report> {
    let jobs: Vec<(&MemberId, &Dataset)> = spec
        .nodes
        .iter()
        .flat_map(|node| node.datasets.iter().map(|dataset| (&node.id, dataset)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut failures = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((node, dataset)) = jobs.get(at) else {
                return failures;
            };
            if let Err(report) = add(node, dataset, layout, rules, clock) {
                failures.push((at, report));
                // No more work for anybody: one misfit ends the founding.
                next.store(jobs.len(), Ordering::Relaxed);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            step.now(format!("checking data ({done} of {})", jobs.len()));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let failures = thread::scope(|scope| {
        let start = |_| {
            thread::Builder::new()
                .stack_size(crate::STACK_BYTES)
                .spawn_scoped(scope, work)
        };
        let workers: Vec<_> = (0..threads).map(start).collect();
        let ended = workers
            .into_iter()
            .map(|worker| match worker.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(failures)) => failures,
                Ok(Err(_)) | Err(_) => vec![(0, Problem::Internal.report("a thread that checked data ended"))],
            });
        ended.collect::<Vec<_>>()
    });
    match failures.into_iter().flatten().min_by_key(|(at, _)| *at) {
        Some((_, report)) => Err(report),
        None => Ok(jobs.len()),
    }
}

fn add(node: &MemberId, dataset: &Dataset, layout: &Layout, rules: &Rules, clock: &dyn Clock) -> Result<(), Report> {
    let collection = rules.collections.get(&dataset.collection).ok_or_else(|| {
        Problem::SqlCollection.report(format!("the data space has no collection {}", dataset.collection))
    })?;
    let folder = layout.node(node).join("data").join("datasets");
    let file = match &dataset.rows {
        Rows::File(file) => file.clone(),
        Rows::MadeUp(_) => layout
            .node(node)
            .join("data")
            .join(format!("{}-synthetic.csv", collection.id)),
    };
    let added = dataset.mapping(collection).and_then(|mapping| {
        let datasets = Datasets::open(&folder)?;
        if let Rows::MadeUp(twin) = &dataset.rows {
            let out = File::create(&file).map_err(|error| Problem::FileMissing.report(error.kind().to_string()))?;
            twin.write(collection, &intake::Margins::default(), &mut BufWriter::new(out))?;
        }
        datasets.add_by(&mapping, &file, collection, clock.now())
    });
    added.map(|_| ()).map_err(|report| {
        let message = format!("node {node}, {}: {}", file.display(), report.message);
        report.problem.report(message).remedy(report.remedy)
    })
}
