use terms::Purpose;

use crate::example::{Files, ada};
use crate::{Queryable, Release, open_to_members, queryable};

const PATH: &str = "policies/breast-cancer-research.toml";

fn open(files: &Files, collection: &str) -> Option<Queryable> {
    let open = queryable(&files.rules(), &ada().caller, ada().at);
    open.into_iter().find(|open| open.collection.id.as_str() == collection)
}

fn prohibit(matcher: &str) -> Files {
    Files::new().edit(PATH, "purposes = [\"ehds-54-b\"]", matcher)
}

#[test]
fn strangers_other_roles_and_other_times_see_nothing() {
    let rules = Files::new().rules();
    let mut caller = ada().caller;
    caller.roles.clear();
    assert_eq!(queryable(&rules, &caller, ada().at), []);
    let mut caller = ada().caller;
    caller.member = "elsewhere".parse().unwrap();
    assert_eq!(queryable(&rules, &caller, ada().at), []);
    assert_eq!(
        queryable(&rules, &ada().caller, "2030-01-01T00:00:00Z".parse().unwrap()),
        []
    );
}

#[test]
fn a_prohibition_closes_what_it_covers_entirely() {
    assert_eq!(open(&prohibit("purposes = [\"ehds-53-1-e\"]"), "breast-cancer"), None);
    let education = "\"ehds-53-1-d\", \"ehds-53-1-e\"";
    let files = prohibit("purposes = [\"ehds-53-1-e\"]").edit(PATH, "\"ehds-53-1-e\"", education);
    let purposes = open(&files, "breast-cancer").unwrap().purposes;
    assert_eq!(purposes, [Purpose::Education].into());
    assert_eq!(
        open(&prohibit("assignee = { roles = [\"university\"] }"), "breast-cancer"),
        None
    );
    assert_eq!(open(&prohibit("release = \"aggregates\""), "breast-cancer"), None);
    let columns = open(&prohibit("columns = [\"age\"]"), "breast-cancer").unwrap().columns;
    assert_eq!(columns, ["grade".to_owned()].into());
    let both = open(
        &prohibit("columns = [\"age\"]\npurposes = [\"ehds-53-1-e\"]"),
        "breast-cancer",
    );
    assert_eq!(
        both,
        open(&Files::new(), "breast-cancer"),
        "only the combination is closed"
    );
}

#[test]
fn reserved_purposes_are_listed_for_those_who_may_name_them() {
    let purposes = |files: &Files, member: &str| {
        let mut caller = ada().caller;
        caller.member = member.parse().unwrap();
        let open = queryable(&files.rules(), &caller, ada().at);
        let open = open
            .into_iter()
            .find(|open| open.collection.id.as_str() == "breast-cancer");
        open.unwrap().purposes
    };
    let both = [Purpose::Statistics, Purpose::Research].into();
    assert_eq!(
        purposes(&Files::new(), "saarland-university"),
        [Purpose::Research].into()
    );
    assert_eq!(purposes(&Files::new(), "health-office"), both);
    let silent = Files::new().with_permit(&[]);
    assert_eq!(purposes(&silent, "saarland-university"), [Purpose::Research].into());
    let acting = Files::new().with_permit(&[("opt_out", "acts_for = \"Ministry of health\"\nopt_out")]);
    assert_eq!(purposes(&acting, "saarland-university"), both);
}

#[test]
fn what_permissions_give_is_listed() {
    let found = open(&Files::new(), "breast-cancer").unwrap();
    assert_eq!(found.purposes, [Purpose::Research].into());
    assert_eq!(found.releases, [Release::Aggregates].into());
    assert_eq!(found.columns, ["age".to_owned(), "grade".to_owned()].into());
    assert_eq!(open(&Files::new(), "beds").unwrap().releases, Release::ALL.into());
}

#[test]
fn what_nobody_may_ask_is_open_to_no_member_and_what_one_may_is() {
    let closed = prohibit("assignee = { roles = [\"university\"] }").rules();
    let mut open = open_to_members(&closed, ada().at).into_iter();
    assert!(open.all(|open| open.collection.id.as_str() != "breast-cancer"));
    assert_eq!(
        open_to_members(&Files::new().rules(), "2030-01-01T00:00:00Z".parse().unwrap()),
        []
    );
    let files = Files::new();
    let open = open_to_members(&files.rules(), ada().at);
    let adas = queryable(&files.rules(), &ada().caller, ada().at);
    let ids = |open: &[Queryable]| open.iter().map(|open| open.collection.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&open), ids(&adas));
    for (all, hers) in open.iter().zip(&adas) {
        assert!(all.purposes.is_superset(&hers.purposes) && all.columns.is_superset(&hers.columns));
        assert!(all.purposes.is_superset(&all.permit_needed_for));
    }
}
