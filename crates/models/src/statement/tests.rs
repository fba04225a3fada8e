use super::*;

fn statement() -> Statement {
    Statement {
        analysis: "glm".to_owned(),
        options: BTreeMap::from([
            ("formula".to_owned(), "outcome == '1_yes' ~ age".to_owned()),
            ("family".to_owned(), "binomial".to_owned()),
        ]),
        nodes: vec!["a".to_owned(), "b".to_owned()],
        masked: false,
        missing: Missing::Refused,
        steps: 25,
        fit: "0123456789abcdef0123456789abcdef".to_owned(),
        rows: "SELECT age, outcome FROM trial WHERE age >= 50".to_owned(),
    }
}

#[test]
fn what_is_not_whole_is_refused() {
    let good = statement().to_string();
    for (from, to, part) in [
        ("FIT", "FOT", "does not begin"),
        ("nodes => 'a, b', ", "", "nodes is missing"),
        ("'a, b'", "'a, a'", "twice"),
        ("'a, b'", "'a, '", "without a name"),
        ("'25'", "'0'", "1 to 100"),
        ("'25'", "'many'", "not a number"),
        ("'plain'", "'none'", "plain or masked"),
        ("'plain'", "'masked', missing => 'refused'", "missing is allowed"),
        ("'plain'", "'plain', missing => 'allowed'", "for masked sums"),
        ("cdef'", "cdeg'", "hexadecimal"),
        (" OF SELECT", " SELECT", "OF SELECT"),
        (
            "family => 'binomial', ",
            "family => 'binomial', family => 'poisson', ",
            "twice",
        ),
        ("'binomial'", "'binomial", "missing"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let refusal = Statement::parse(&bad).unwrap_err().message;
        assert!(refusal.contains(part), "{bad}: {refusal}");
    }
}

#[test]
fn what_is_written_reads_back() {
    let text = statement().to_string();
    assert!(text.contains("formula => 'outcome == ''1_yes'' ~ age'"), "{text}");
    assert_eq!(Statement::parse(&text).unwrap(), statement());
}

#[test]
fn that_nodes_may_be_missing_is_written_and_read_back() {
    let text = statement().to_string();
    assert!(!text.contains("missing"), "{text}");
    let allowed = Statement {
        masked: true,
        missing: Missing::Allowed,
        ..statement()
    };
    let text = allowed.to_string();
    assert!(text.contains(", missing => 'allowed') OF SELECT"), "{text}");
    assert_eq!(Statement::parse(&text).unwrap(), allowed);
}
