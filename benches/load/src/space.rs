//! The data space that is asked: its files, its generated rows, and its processes.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use federation::{Asker, Profile};
use std::sync::Arc;
use terms::SystemClock;

use crate::Args;

/// Who asks for what is forbidden.
pub(crate) const INTRUDER: &str = "mallory";

/// The permit under which rows are asked for.
pub(crate) const PERMIT_ID: &str = "study";

pub(crate) const WARDS: [&str; 6] = ["eye", "heart", "lung", "medicine", "paediatrics", "surgery"];
pub(crate) const SEXES: [&str; 2] = ["female", "male"];
/// Hospitals and the region in which each is.
pub(crate) const HOSPITALS: [(&str, &str); 5] = [
    ("h1", "coast"),
    ("h2", "coast"),
    ("h3", "hills"),
    ("h4", "hills"),
    ("h5", "plain"),
];
/// Edges of the bins of an age.
pub(crate) const AGES: [i64; 7] = [0, 18, 40, 50, 60, 70, 120];

const COLLECTION: &str = r#"
id           = "stays"
title        = "Hospital stays"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type = "text"
role = "identifier"

[columns.ward]
type   = "text"
role   = ["group", "filter"]
values = ["eye", "heart", "lung", "medicine", "paediatrics", "surgery"]

[columns.sex]
type   = "text"
role   = ["group", "filter"]
values = ["female", "male"]

[columns.age]
type   = "integer"
role   = ["group", "filter", "measure"]
bins   = [0, 18, 40, 50, 60, 70, 120]
bounds = [0, 119]

[columns.days]
type   = "integer"
role   = "measure"
bounds = [0, 60]

[columns.secret]
type   = "integer"
role   = "measure"
bounds = [0, 9]

[columns.hospital_id]
type       = "text"
references = "hospitals"
"#;

const HOSPITALS_COLLECTION: &str = r#"
id       = "hospitals"
title    = "Hospitals"
personal = false
key      = "hospital_id"

[columns.hospital_id]
type = "text"

[columns.region]
type   = "text"
role   = ["group", "filter"]
values = ["coast", "hills", "plain"]
"#;

const POLICY: &str = r#"
id          = "stays-research"
version     = 1
title       = "Research on stays"
collection  = "stays"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "statistics"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["node", "ward", "sex", "age", "days", "hospital_id"]
disclosure = { tier = "statistical", min_people = 5, queries = { per_week = 100000000 } }

[[permission]]
id         = "rows"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "required"
release    = "rows"
columns    = ["ward", "sex", "days"]
disclosure = { tier = "statistical", min_people = 5, queries = { per_week = 100000000 } }
"#;

const HOSPITALS_POLICY: &str = r#"
id          = "hospitals-open"
version     = 1
title       = "Hospitals are no secret"
collection  = "hospitals"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "all"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["hospital_id", "region"]
disclosure = { tier = "open", queries = { per_week = 100000000 } }
"#;

/// One stay, as the generator made it. Everything that is held to be right is computed from these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub(crate) node: usize,
    pub(crate) person: u32,
    pub(crate) ward: usize,
    pub(crate) sex: usize,
    pub(crate) age: i64,
    pub(crate) days: i64,
    pub(crate) hospital: usize,
}

/// All rows of all nodes.
pub(crate) struct Data {
    pub(crate) nodes: Vec<String>,
    pub(crate) stays: Vec<Stay>,
}

impl Data {
    fn generate(nodes: u16, rows: u32) -> Self {
        let mut chance = Chance(1);
        let mut stays = Vec::new();
        for node in 0..usize::from(nodes) {
            for row in 0..rows {
                // Two stays a person; nothing else is the same in both but the sex.
                let person = row / 2;
                stays.push(Stay {
                    node,
                    person,
                    ward: chance.below(WARDS.len()),
                    sex: person as usize % SEXES.len(),
                    age: chance.below(120) as i64,
                    days: chance.below(61) as i64,
                    hospital: chance.below(HOSPITALS.len()),
                });
            }
        }
        let nodes = (0..nodes).map(|node| format!("clinic-{node:02}")).collect();
        Self { nodes, stays }
    }

    fn csv(&self, node: usize) -> String {
        let mut csv = "patient_id,ward,sex,age,days,secret,hospital_id\n".to_owned();
        for stay in self.stays.iter().filter(|stay| stay.node == node) {
            writeln!(
                csv,
                "n{node}p{},{},{},{},{},{},{}",
                stay.person,
                WARDS[stay.ward],
                SEXES[stay.sex],
                stay.age,
                stay.days,
                stay.person % 10,
                HOSPITALS[stay.hospital].0
            )
            .unwrap();
        }
        csv
    }
}

/// A generator of numbers that repeats (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % most as u64) as usize
    }
}

/// A process that ends with its owner.
pub(crate) struct Process {
    pub(crate) name: String,
    child: RefCell<Child>,
}

impl Process {
    fn start(program: &Path, role: &str, config: &Path, name: &str) -> Self {
        let log = std::fs::File::create(config.with_extension("log")).unwrap();
        let child = Command::new(program)
            .args([role, "run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            name: name.to_owned(),
            child: RefCell::new(child),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.borrow().id()
    }

    fn is_alive(&self) -> bool {
        matches!(self.child.borrow_mut().try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The data space, running.
pub(crate) struct Space {
    pub(crate) data: Data,
    pub(crate) people: Vec<String>,
    pub(crate) broker: Process,
    pub(crate) nodes: Vec<Process>,
    sandbox: PathBuf,
    program: PathBuf,
}

impl Space {
    /// Founds the data space and starts its processes.
    pub(crate) async fn start(folder: &Path, args: &Args) -> Self {
        let program = args.program.clone().unwrap_or_else(program_beside);
        let data = Data::generate(args.nodes, args.rows);
        let people: Vec<String> = (0..args.people).map(|person| format!("ada-{person:02}")).collect();
        write_files(folder, &data, &people);
        let sandbox = folder.join("sandbox");
        run(
            &program,
            &[
                "sandbox".as_ref(),
                "up".as_ref(),
                folder.join("spec.toml").as_ref(),
                "--dir".as_ref(),
                sandbox.as_ref(),
            ],
        );
        run(&program, &["sandbox".as_ref(), "down".as_ref(), sandbox.as_ref()]);
        let broker = Process::start(&program, "broker", &sandbox.join("broker/broker.toml"), "broker");
        let nodes = data.nodes.iter();
        let nodes =
            nodes.map(|id| Process::start(&program, "node", &sandbox.join("nodes").join(id).join("node.toml"), id));
        let nodes = nodes.collect();
        let space = Self {
            data,
            people,
            broker,
            nodes,
            sandbox,
            program,
        };
        space.until_reachable().await;
        space
    }

    /// The rows are in the nodes' own files now; tunnels take a moment.
    async fn until_reachable(&self) {
        let began = Instant::now();
        loop {
            if let Ok(asker) = self.asker(&self.people[0]).await {
                let question = crate::questions::reachable();
                let answer = Box::pin(asker.ask(&question)).await;
                if answer.is_ok_and(|answer| answer.took_part().answered() == self.nodes.len()) {
                    return;
                }
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the nodes are not reached");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A person of the data space, with connections of their own.
    pub(crate) async fn asker(&self, person: &str) -> Result<Asker, terms::Report> {
        let profile = self.sandbox.join("people").join(person).join("person.toml");
        Box::pin(Asker::open(Profile::load(&profile)?, Arc::new(SystemClock))).await
    }

    pub(crate) fn all_alive(&self) -> bool {
        self.broker.is_alive() && self.nodes.iter().all(Process::is_alive)
    }

    /// Bytes of the ledgers of all nodes, with what is not yet written into them.
    pub(crate) fn ledger_bytes(&self) -> u64 {
        let data = self
            .data
            .nodes
            .iter()
            .map(|id| self.sandbox.join("nodes").join(id).join("data"));
        let files = data.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
        let ledgers = files.filter(|file| file.file_name().to_string_lossy().contains("ledger"));
        ledgers.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "{}: {} nodes behind one broker, {} rows in all; {} people and one intruder",
            self.program.display(),
            self.nodes.len(),
            self.data.stays.len(),
            self.people.len()
        )
    }
}

fn write_files(folder: &Path, data: &Data, people: &[String]) {
    let mut spec = "space = \"soak\"\nboard = { members = 3, threshold = 2 }\n\
                    collections = [\"collections/stays.toml\", \"collections/hospitals.toml\"]\n\
                    policies = [\"policies/stays-research.toml\", \"policies/hospitals-open.toml\"]\npermits = [\"permits/study.toml\"]\n"
        .to_owned();
    for (at, node) in data.nodes.iter().enumerate() {
        write!(
            spec,
            "[[node]]\nid = \"{node}\"\nroles = [\"hospital\"]\nreach = \"broker\"\ndatasets = [\
             {{ collection = \"stays\", path = \"stays-{at}.csv\" }}, {{ collection = \"hospitals\", path = \"hospitals.csv\" }}]\n"
        )
        .unwrap();
        write_file(folder, &format!("stays-{at}.csv"), &data.csv(at));
    }
    for person in people.iter().map(String::as_str).chain([INTRUDER]) {
        write!(
            spec,
            "[[person]]\nid = \"{person}\"\nmember = \"university\"\nroles = [\"university\"]\n"
        )
        .unwrap();
    }
    let holders: Vec<String> = people.iter().map(|person| format!("\"university/{person}\"")).collect();
    let permit = format!(
        "id = \"{PERMIT_ID}\"\nspace = \"soak\"\ntitle = \"A study\"\nkind = \"data-permit\"\nissuer = \"Health data access body\"\n\
         issued = 2026-01-02\nholder = \"university\"\npersons = [{}]\npurposes = [\"ehds-53-1-e\"]\nvalid_from = 2026-01-02\n\
         valid_until = 2099-01-01\nopt_out = \"at-query\"\n[[dataset]]\ncollection = \"stays\"\ncolumns = [\"ward\", \"sex\", \"days\"]\n",
        holders.join(", ")
    );
    let hospitals: String = HOSPITALS
        .iter()
        .map(|(id, region)| format!("{id},{region}\n"))
        .collect();
    write_file(folder, "spec.toml", &spec);
    write_file(folder, "hospitals.csv", &format!("hospital_id,region\n{hospitals}"));
    write_file(folder, "collections/stays.toml", COLLECTION);
    write_file(folder, "collections/hospitals.toml", HOSPITALS_COLLECTION);
    write_file(folder, "policies/stays-research.toml", POLICY);
    write_file(folder, "policies/hospitals-open.toml", HOSPITALS_POLICY);
    write_file(folder, "permits/study.toml", &permit);
}

fn write_file(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn program_beside() -> PathBuf {
    let program = std::env::current_exe().unwrap().with_file_name("datenraum");
    assert!(
        program.is_file(),
        "build it first: cargo build --workspace --release --bin datenraum"
    );
    program
}

fn run(program: &Path, words: &[&std::ffi::OsStr]) {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
