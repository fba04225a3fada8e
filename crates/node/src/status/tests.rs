use super::*;
use crate::example::{MINUTE, World};

async fn written(world: &World) -> (Config, NodeStatus) {
    let config = world.config();
    let governance = world.govern().await.unwrap();
    let datasets = engine::Datasets::open(&world.path("datasets")).unwrap();
    let status = NodeStatus::of(&config, &governance, &datasets);
    status.write(&config).unwrap();
    (config, status)
}

#[tokio::test]
async fn a_node_that_never_ran_and_a_file_that_is_none_are_told_as_such() {
    let world = World::new();
    let config = world.config();
    assert_eq!(NodeStatus::read(&config).unwrap_err().problem, Problem::FileMissing);
    std::fs::create_dir_all(&config.data).unwrap();
    std::fs::write(config.data.join(STATUS_FILE), b"{}").unwrap();
    assert_eq!(NodeStatus::read(&config).unwrap_err().problem, Problem::FileSyntax);
}

#[tokio::test]
async fn what_was_written_is_read_and_signers_get_the_names_that_the_operator_knows() {
    let world = World::new();
    let (config, status) = written(&world).await;
    assert_eq!(NodeStatus::read(&config).unwrap(), status);
    assert_eq!((status.documents.signers.len(), status.documents.board_keys), (2, 3));
    let board = config.data.join("board");
    std::fs::create_dir_all(&board).unwrap();
    let ana = format!("name = \"ana\"\nkey = \"{}\"\n", world.board[0].public());
    std::fs::write(board.join("ana.pub"), ana).unwrap();
    std::fs::write(board.join("odd.pub"), "?").unwrap();
    let named = NodeStatus::read(&config).unwrap().documents.signers;
    let names: Vec<_> = named.iter().filter_map(|signer| signer.name.as_deref()).collect();
    assert_eq!(names, ["ana"]);
}

#[tokio::test]
async fn a_node_that_does_not_look_any_more_is_told() {
    let world = World::new();
    let (_, status) = written(&world).await;
    assert!(status.warnings(world.now()).is_empty());
    world.advance(3 * MINUTE);
    assert!(
        status.warnings(world.now())[0].contains("does not look"),
        "{:?}",
        status.warnings(world.now())
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_it() {
    let world = World::new();
    let (config, _) = written(&world).await;
    let mode = std::fs::metadata(config.data.join(STATUS_FILE)).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
}
