//! `datenraum query --dry-run`: what each node would do with a question, for people and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use federation::{
    AllowingRule, Checks, Cost, DryRun, DryRunPart, Foreseen, Quota, Status, Tier, Window, Would, WouldAllow,
};
use terms::Report;

use crate::args::Format;
use crate::sandbox::found::counted;
use crate::show;

/// Prints what nodes say.
///
/// # Errors
/// If the output cannot be written to.
pub(crate) fn show(run: &DryRun, format: Format) -> Result<(), Report> {
    if format == Format::Json {
        return show::json(run);
    }
    run.parts.iter().try_for_each(show_part)?;
    show::text(
        "No data was read and nothing charged. Nodes record who asked whether, and decide again when they are asked.",
    )
}

fn show_part(part: &DryRunPart) -> Result<(), Report> {
    let allowed = part.nodes.iter().filter(|node| node.would.not().is_none()).count();
    let nodes = counted(part.nodes.len(), "node", "nodes");
    show::text(format!("{}\n{allowed} of {nodes} would answer", part.sql))?;
    let alike = alike(&part.nodes);
    if !alike.is_empty() {
        let mut table = show::table(["nodes", "would answer under", "checks", "cost"]);
        for ([under, checks, cost], nodes) in &alike {
            table.add_row([&nodes.join(", "), under, checks, cost]);
        }
        show::text(table)?;
    }
    for (why, nodes) in absent(&part.nodes) {
        show::text(format!("{} {why}", nodes.join(", ")))?;
    }
    // Where a node says that itself, it is told once.
    let is_news = |node: &Foreseen| {
        node.would
            .not()
            .is_some_and(|(_, not)| !part.documents.contains(&not.report.message))
    };
    if part.nodes.iter().any(is_news) {
        show::text(format!("your documents say: {}", part.documents))?;
    }
    for duty in duties(&part.nodes) {
        show::text(format!("your duty would be: {duty}"))?;
    }
    Ok(())
}

/// What nodes that would answer say, and which: the same is told once.
fn alike(nodes: &[Foreseen]) -> BTreeMap<[String; 3], Vec<&str>> {
    let mut alike: BTreeMap<[String; 3], Vec<&str>> = BTreeMap::new();
    for Foreseen { node, would } in nodes {
        if let Would::Allowed(would) = would {
            alike.entry(words(would)).or_default().push(node.as_str());
        }
    }
    alike
}

/// Why nodes would not answer, and which.
fn absent(nodes: &[Foreseen]) -> BTreeMap<String, Vec<&str>> {
    let mut absent: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for Foreseen { node, would } in nodes {
        let Some((status, ended)) = would.not() else { continue };
        let what = match status {
            Status::Refused => "would refuse",
            other => other.word(),
        };
        let report = &ended.report;
        let why = format!("{what}: {} [{}]; {}", report.message, report.problem, report.remedy);
        absent.entry(why).or_default().push(node.as_str());
    }
    absent
}

fn duties(nodes: &[Foreseen]) -> BTreeSet<&str> {
    let allowed = nodes.iter().filter_map(|node| match &node.would {
        Would::Allowed(would) => Some(would),
        Would::Refused(_) | Would::Unreachable(_) | Would::Failed(_) => None,
    });
    allowed.flat_map(|would| &would.duties).map(String::as_str).collect()
}

fn words(would: &WouldAllow) -> [String; 3] {
    let rule = |rule: &AllowingRule| format!("{} of {} version {}", rule.rule, rule.policy, rule.version);
    let rules: Vec<String> = would.rules.iter().map(rule).collect();
    let mut under = rules.join(", joined to ");
    if let Some(permit) = &would.permit {
        under.push_str(&format!(", with permit {permit}"));
    }
    let costs: Vec<String> = would.costs.iter().map(cost_words).collect();
    let cost = if costs.is_empty() {
        "no quota".to_owned()
    } else {
        costs.join("\n")
    };
    [under, check_words(&would.checks), cost]
}

/// `1 of 30 a minute, 12 used`.
fn cost_words(cost: &Cost) -> String {
    let window = match cost.window {
        Window::Minute => "a minute",
        Window::Week => "a week",
    };
    let whose = match cost.quota {
        Quota::Person => "",
        Quota::Permit => " of the permit's",
    };
    format!("1 of {}{whose} {window}, {} used", cost.limit, cost.used)
}

fn check_words(checks: &Checks) -> String {
    let tier = match checks.tier {
        Tier::Open => "open",
        Tier::Statistical => "statistical",
    };
    let dominance = checks.dominance.map(|rule| {
        let percent = rule.share * 100.0;
        format!("{} people give at most {percent:.0} %", rule.top)
    });
    let checks = [
        Some(tier.to_owned()),
        checks.min_people.map(|people| format!("{people} people or more")),
        dominance,
        checks.p_percent.map(|percent| format!("p {percent} %")),
        checks.round_to.map(|step| format!("rounded to {step}")),
        checks.zeros_protected.then(|| "zeros protected".to_owned()),
    ];
    checks.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
