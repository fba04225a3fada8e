//! Ready-made views for the core data set of the German Medical Informatics Initiative (MII), as files in `crates/fhir/views`.
//!
//! Each has a row for what its title says, a key of its own and the person's key, and neither names nor identifiers of people. An operator
//! takes one as it is, or copies the file and changes it.

use terms::Report;

use crate::view::View;

/// The name of each view and the text of its ViewDefinition.
pub const VIEWS: [(&str, &str); 10] = [
    ("person", include_str!("../views/person.json")),
    ("encounter", include_str!("../views/encounter.json")),
    ("diagnosis", include_str!("../views/diagnosis.json")),
    ("procedure", include_str!("../views/procedure.json")),
    ("laboratory", include_str!("../views/laboratory.json")),
    ("medication", include_str!("../views/medication.json")),
    (
        "medication-statement",
        include_str!("../views/medication-statement.json"),
    ),
    ("medication-request", include_str!("../views/medication-request.json")),
    (
        "medication-administration",
        include_str!("../views/medication-administration.json"),
    ),
    ("consent", include_str!("../views/consent.json")),
];

/// The view of that name, if there is one.
///
/// # Errors
/// None that our tests let pass: they compile each.
pub fn view(name: &str) -> Option<Result<View, Report>> {
    let (_, definition) = VIEWS.iter().find(|(known, _)| *known == name)?;
    Some(View::compile(definition))
}
