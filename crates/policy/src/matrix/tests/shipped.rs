//! The matrices that lie beside the policies of the repository are those that the policies have.

use crate::cases::shipped;
use crate::{Lang, matrix, matrix_path};

#[test]
fn the_stored_matrix_of_every_policy_of_the_repository_is_the_one_that_it_has() {
    for space in shipped::all() {
        let rules = space.rules();
        for policy in rules.policies() {
            let now = matrix(&rules, &policy.id, Lang::En).unwrap();
            let path = space.folder.join(matrix_path(&policy.id));
            if std::env::var_os("UPDATE_MATRIX").is_some() {
                std::fs::write(&path, &now).unwrap();
            }
            let stored = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(stored, now, "{}: run the tests with UPDATE_MATRIX=1", path.display());
        }
    }
}
