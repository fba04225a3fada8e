//! `datenraum demo`: a data space on real data and a short guided tour through it.
//!
//! Nothing is staged: the sandbox is the one that `sandbox up` makes, the questions are those that `query` asks, and
//! what a step promises is checked; a step that does not hold ends the tour with an error.

mod material;
mod model;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use federation::{Answer, Asker, Profile, Question, Status};
use terms::{Clock as _, ExitCode, MemberId, Problem, Purpose, Report, SystemClock};

use crate::args::{AuditShowArgs, AuditVerifyArgs, DemoArgs};
use crate::sandbox::control::{self, Order};
use crate::sandbox::layout::Layout;
use crate::sandbox::progress::Progress;
use crate::sandbox::{spec::Spec, up};
use crate::{analyses, audit, query, render, show};

const BY_SIZE: &str = "SELECT tumour_size, count(*) AS people, avg(age) AS mean_age FROM breast_cancer \
                       GROUP BY tumour_size ORDER BY tumour_size";
const BY_SEX: &str = "SELECT sex, count(*) AS people, avg(age) AS mean_age FROM lung_cancer GROUP BY sex ORDER BY sex";
const STOPPED: &str = "ncctg-12";
const AUDITED: &str = "gbsg";

/// Runs the tour.
pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode, Report> {
    let began = Instant::now();
    let (folder, is_ours) = folder(&args)?;
    let spec = material::unpack(&folder.join("source"))?;
    let layout = Layout::new(folder.join("sandbox"));
    show::text(
        "Datenraum: two breast cancer cohorts and eighteen hospitals of a lung cancer study, each with a node of\nits own. No data set is copied to anybody; what leaves a node is what a signed policy allows.\n",
    )?;
    up::put_up(&Spec::load(&spec)?, &layout, Progress::to_stderr(false)).await?;
    let toured = Tour { layout: layout.clone() }.run().await;
    if args.keep && toured.is_ok() {
        keep(layout.folder())?;
    } else {
        up::take_down(&layout).await?;
        if is_ours {
            // A temporary folder; the system clears it if this does not.
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
    toured?;
    show::text(format!("\nThe tour took {:.1} s.", began.elapsed().as_secs_f64()))?;
    Ok(ExitCode::Ok)
}

/// The folder of the demonstration, and whether it is a temporary one of ours.
fn folder(args: &DemoArgs) -> Result<(PathBuf, bool), Report> {
    if let Some(folder) = &args.dir {
        let is_empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty {
            let report = Problem::FolderNotEmpty.report(format!("{} is not empty", folder.display()));
            return Err(report.remedy("name a new folder, or take an earlier demonstration down and remove it"));
        }
        return Ok((folder.clone(), false));
    }
    let name = format!("datenraum-demo-{}", SystemClock.now().as_microsecond());
    Ok((std::env::temp_dir().join(name), !args.keep))
}

struct Tour {
    layout: Layout,
}

impl Tour {
    async fn run(&self) -> Result<(), Report> {
        let profile = Profile::load(&query::person_of(self.layout.folder(), None)?)?;
        let asker = Asker::open(profile, Arc::new(SystemClock)).await?;

        heading(
            "1",
            "One question to both breast cancer cohorts; the answer is that of the pooled data",
        )?;
        let answer = self.ask(&asker, BY_SIZE, Purpose::Research).await?;
        compare_with_pooled(&answer)?;

        heading(
            "2",
            "A regression over both cohorts, under a data permit; the model is that of the pooled data",
        )?;
        self.fit(&asker).await?;

        heading(
            "3",
            "Eighteen hospitals, some with a handful of patients: what is too small does not leave",
        )?;
        let answer = self.ask(&asker, BY_SEX, Purpose::Research).await?;
        hold(
            answer.took_part().suppressed_cells() > 0 && !answer.intervals.is_empty(),
            "small cells are suppressed and said to be",
        )?;
        hold(
            answer.took_part().exit_code() == ExitCode::Ok,
            "suppression does not make an answer partial",
        )?;

        heading(
            "4",
            "The same question for an insurance: refused, with the rule and what would be allowed",
        )?;
        let answer = self.ask(&asker, BY_SIZE, Purpose::Insurance).await?;
        hold(
            answer.took_part().exit_code() == ExitCode::Refused,
            "every node refuses",
        )?;

        heading(
            "5",
            "A node stops in mid-tour: the answer is partial, and says who is missing",
        )?;
        let node: MemberId = STOPPED
            .parse()
            .map_err(|_| Problem::Internal.report("the tour names no node"))?;
        show::text(format!(
            "$ datenraum sandbox down {} --node {node}",
            self.layout.folder().display()
        ))?;
        control::tell(&self.layout, Order::StopNode { node: node.clone() }).await?;
        let answer = self.ask(&asker, BY_SEX, Purpose::Research).await?;
        let missing: Vec<_> = answer
            .coverage
            .iter()
            .filter(|c| c.status != Status::Answered)
            .map(|c| &c.node)
            .collect();
        hold(
            missing == [&node] && answer.took_part().exit_code() == ExitCode::Partial,
            "exactly the stopped node is missing",
        )?;

        heading(
            "6",
            "What one hospital can see: who asked what, under which signed policy, and what left",
        )?;
        self.audit()
    }

    async fn ask(&self, asker: &Asker, sql: &str, purpose: Purpose) -> Result<Answer, Report> {
        let folder = self.layout.folder().display();
        show::text(format!(
            "$ datenraum query --sandbox {folder} --purpose {purpose} \\\n    \"{sql}\""
        ))?;
        let question = Question {
            tables: federation::Tables::default(),
            sql: sql.to_owned(),
            purpose: Some(purpose),
            permit: None,
            timeout: None,
        };
        let answer = asker.ask(&question).await?;
        if answer.coverage.iter().any(|node| node.status == Status::Answered) {
            show::text(render::table(&answer)?)?;
        }
        show::text(render::summary(&answer))?;
        show::text(format!("exit code {}", answer.took_part().exit_code() as u8))?;
        Ok(answer)
    }

    async fn fit(&self, asker: &Asker) -> Result<(), Report> {
        let folder = self.layout.folder().display();
        let (formula, family, permit) = (model::FORMULA, model::FAMILY, model::PERMIT);
        show::text(format!(
            "$ datenraum glm --sandbox {folder} --purpose {} --permit {permit} \\\n    \
             --collection breast-cancer --formula \"{formula}\" --family {family}",
            Purpose::Research
        ))?;
        let answer = Box::pin(asker.fit(&model::question()?)).await?;
        let fitted = answer.fitted.as_ref().map_err(Clone::clone)?;
        analyses::fit::print(fitted, &answer)?;
        hold(
            answer.evidence.exit_code() == ExitCode::Ok,
            "both cohorts take part in the model",
        )?;
        let pooled = model::pooled(asker)?;
        hold(
            model::agree(fitted, &pooled),
            "the federated model equals the pooled one",
        )?;
        show::text("fitted again to the two files put together: the same, to nine digits and more")
    }

    fn audit(&self) -> Result<(), Report> {
        let node = self.layout.folder().join("nodes").join(AUDITED);
        show::text(format!("$ datenraum audit show {}", node.display()))?;
        audit::show(AuditShowArgs { folder: node.clone() }, false)?;
        show::text(format!("$ datenraum audit verify {}", node.display()))?;
        let verified = audit::verify(AuditVerifyArgs::of(node), false)?;
        hold(verified == ExitCode::Ok, "the audit verifies")
    }
}

fn heading(number: &str, text: &str) -> Result<(), Report> {
    show::text(format!("\n── {number}. {text}\n"))
}

fn hold(holds: bool, promise: &str) -> Result<(), Report> {
    if holds {
        return Ok(());
    }
    Err(Problem::Internal.report(format!("the tour promised that {promise}, and it is not so")))
}

/// Computes the same from the two files put together, and compares.
fn compare_with_pooled(answer: &Answer) -> Result<(), Report> {
    let mut pooled: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for file in [material::GBSG, material::ROTTERDAM] {
        for line in file.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let (age, size) = (fields[material::AGE].parse::<i64>(), fields[material::TUMOUR_SIZE]);
            let age = age.map_err(|_| Problem::Internal.report("the demonstration's data cannot be read"))?;
            let sums = pooled.entry(size).or_default();
            *sums = (sums.0 + 1, sums.1 + age);
        }
    }
    let expected: Vec<(String, i64, f64)> = pooled
        .into_iter()
        .map(|(size, (n, sum))| (size.to_owned(), n, sum as f64 / n as f64))
        .collect();
    let mut given = Vec::new();
    for batch in &answer.batches {
        let (sizes, people) = (
            batch.column(0).as_string::<i32>(),
            batch.column(1).as_primitive::<Int64Type>(),
        );
        let means = batch.column(2).as_primitive::<Float64Type>();
        given.extend((0..batch.num_rows()).map(|at| (sizes.value(at).to_owned(), people.value(at), means.value(at))));
    }
    hold(given == expected, "the federated answer equals the pooled one")?;
    show::text("computed again from the two files put together: the same, to the last digit")
}

fn keep(folder: &Path) -> Result<(), Report> {
    let folder = folder.display();
    show::text(format!(
        "\nThe sandbox stays up. To go on:\n\
         \x20 export DATENRAUM_SANDBOX={folder}\n\
         \x20 datenraum query --purpose ehds-53-1-e \"SELECT node, count(*) AS people FROM lung_cancer GROUP BY node\"\n\
         \x20 datenraum sandbox status {folder}\n\
         \x20 datenraum sandbox down {folder}"
    ))
}
