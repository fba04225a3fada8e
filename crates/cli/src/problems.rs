//! `datenraum problems`: the table of problem codes, or one of them.

use terms::{ExitCode, Problem, Report};

use crate::args::ProblemsArgs;
use crate::show;

/// Lists every problem or explains one.
///
/// # Errors
/// [`Problem::Usage`] if there is no such code.
pub(crate) fn run(args: ProblemsArgs, json: bool) -> Result<ExitCode, Report> {
    let chosen = match &args.code {
        Some(code) => vec![find(code)?],
        None => Problem::ALL.to_vec(),
    };
    if json {
        let rows: Vec<_> = chosen.into_iter().map(row).collect();
        show::json(&rows)?;
    } else if args.code.is_some() {
        for problem in chosen {
            show::text(explain(problem))?;
        }
    } else {
        let mut table = show::table(["code", "for", "exit", "what it means"]);
        for p in chosen {
            table.add_row([
                p.code().to_owned(),
                p.audience().to_string(),
                exit(p),
                p.summary().to_owned(),
            ]);
        }
        show::text(table)?;
    }
    Ok(ExitCode::Ok)
}

fn find(code: &str) -> Result<Problem, Report> {
    let upper = code.to_ascii_uppercase();
    let found = Problem::from_code(&upper).or_else(|| Problem::from_code(&format!("E_{upper}")));
    found.ok_or_else(|| {
        let report = Problem::Usage.report(format!(
            "there is no problem with the code {:?}",
            code.escape_debug().to_string()
        ));
        match terms::text::nearest(&upper, Problem::ALL.iter().map(|p| p.code())) {
            Some(near) => report.remedy(format!("did you mean {near}? `datenraum problems` lists all")),
            None => report.remedy("`datenraum problems` lists all"),
        }
    })
}

fn explain(p: Problem) -> String {
    let exit = exit(p);
    format!(
        "{}: {}\nwhat to do: {}\nfor: {}; exit code {exit}",
        p.code(),
        p.summary(),
        p.next_step(),
        p.audience()
    )
}

fn exit(problem: Problem) -> String {
    (problem.exit_code() as u8).to_string()
}

fn row(p: Problem) -> serde_json::Value {
    serde_json::json!({
        "code": p.code(), "for": p.audience().to_string(), "exit": p.exit_code() as u8,
        "meaning": p.summary(), "next": p.next_step(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_however_it_is_written_and_a_misspelt_one_is_not() {
        assert_eq!(find("sql_domain").unwrap(), Problem::SqlDomain);
        assert_eq!(find("E_SQL_DOMAIN").unwrap(), Problem::SqlDomain);
        let report = find("E_SQL_DOMAIM").unwrap_err();
        assert!(report.remedy.contains("E_SQL_DOMAIN"), "{}", report.remedy);
    }
}
