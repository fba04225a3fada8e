use super::*;

fn said() -> WouldAllow {
    WouldAllow {
        query_id: "q1".parse().unwrap(),
        rules: vec![AllowingRule {
            collection: "beds".parse().unwrap(),
            policy: "beds-open".parse().unwrap(),
            version: 3,
            rule: "universities".parse().unwrap(),
        }],
        permit: Some("study-7".parse().unwrap()),
        checks: Checks {
            tier: Tier::Statistical,
            min_people: Some(10),
            dominance: Some(Dominance { top: 2, share: 0.85 }),
            p_percent: Some(10),
            round_to: Some(5),
            zeros_protected: true,
        },
        duties: vec!["delete within 30 days".to_owned()],
        costs: vec![Cost {
            quota: Quota::Person,
            window: Window::Minute,
            limit: 30,
            used: 12,
        }],
    }
}

fn message() -> v1::DryRunResponse {
    v1::DryRunResponse::decode(said().encode().as_slice()).unwrap()
}

type Lie = fn(&mut v1::DryRunResponse);

#[test]
fn what_a_node_cannot_say_is_not_taken() {
    let lies: [(&str, Lie); 15] = [
        ("no id", |said| said.query_id.clear()),
        ("an id that a terminal obeys", |said| {
            said.query_id = "\u{1b}[2J".to_owned()
        }),
        ("no rule", |said| said.rules.clear()),
        ("a rule without a name", |said| said.rules[0].rule.clear()),
        ("a policy that is a sentence", |said| {
            said.rules[0].policy = "a b".to_owned()
        }),
        ("a permit without a name", |said| said.permit = Some(String::new())),
        ("no checks", |said| said.checks = None),
        ("no tier", |said| said.checks.as_mut().unwrap().tier = 0),
        ("a tier that is not known", |said| {
            said.checks.as_mut().unwrap().tier = 9
        }),
        ("groups of one", |said| {
            said.checks.as_mut().unwrap().min_people = Some(1)
        }),
        ("people in the open tier", |said| said.checks.as_mut().unwrap().tier = 1),
        ("a share that is no number", |said| {
            let dominance = v1::Dominance {
                top: 1,
                share: f64::NAN,
            };
            said.checks.as_mut().unwrap().dominance = Some(dominance);
        }),
        ("rounded to nothing", |said| {
            said.checks.as_mut().unwrap().round_to = Some(0)
        }),
        ("a quota that is used up", |said| said.costs[0].used = 30),
        ("a window that is not known", |said| said.costs[0].window = 7),
    ];
    for (name, lie) in lies {
        let mut message = message();
        lie(&mut message);
        assert_eq!(WouldAllow::parse(&message.encode_to_vec()), None, "{name}");
    }
    assert_eq!(WouldAllow::parse(b""), None);
    assert_eq!(WouldAllow::parse(&[0xff; 64]), None);
    let mut long = message();
    long.duties = vec!["x".repeat(RESPONSE_BYTES_MAX)];
    assert_eq!(WouldAllow::parse(&long.encode_to_vec()), None);
}

#[test]
fn what_a_node_says_arrives_as_it_was_and_in_plain_text() {
    assert_eq!(WouldAllow::parse(&said().encode()), Some(said()));
    let mut message = message();
    message.duties = vec!["delete\u{1b}[2J".to_owned()];
    let parsed = WouldAllow::parse(&message.encode_to_vec()).unwrap();
    assert_eq!(parsed.duties, ["delete [2J"]);
}
