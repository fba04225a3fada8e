//! How many resources a second one core turns into rows, beside `serde_json` reading the same lines, and how much memory it takes for ten times
//! as many.
//!
//! `cargo bench -p fhir --bench views`. Times are those on a processor, and turns are taken: a busy machine slows both alike. `read only` is a view on
//! resources that are not there: what it takes to read the JSON.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that only measures")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use fhir::{View, kds};

/// Resources of one turn.
const RESOURCES: usize = 50_000;

/// Turns of each.
const TURNS: usize = 9;

fn main() {
    println!(
        "{:<44} {:>12} {:>14} {:>7} {:>9}",
        "view", "resources/s", "serde_json/s", "ratio", "MB/s"
    );
    for (name, line) in [
        ("diagnosis", condition as fn(usize) -> String),
        ("laboratory", observation),
        ("person", patient),
    ] {
        let lines: String = (0..RESOURCES).map(line).collect();
        measure(name, &lines);
    }
    memory();
}

fn measure(name: &str, lines: &str) {
    let view = kds::view(name).unwrap().unwrap();
    let nothing =
        View::compile(r#"{"resource": "Basic", "select": [{"column": [{"name": "id", "path": "id"}]}]}"#).unwrap();
    let (mut ours, mut reading, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(timed(|| assert!(rows(&view, lines.as_bytes()) >= RESOURCES)));
        reading.push(timed(|| assert_eq!(rows(&nothing, lines.as_bytes()), 0)));
        bare.push(timed(|| {
            for line in lines.lines() {
                black_box(serde_json::from_str::<serde_json::Value>(line).unwrap());
            }
        }));
    }
    let [ours, reading, bare] = [ours, reading, bare].map(median);
    let rate = |time: Duration| RESOURCES as f64 / time.as_secs_f64();
    let ratio = bare.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{name:<12} {:>12.0} {:>12.0} {:>14.0} {ratio:>7.2} {:>6.0}",
        rate(ours),
        rate(reading),
        rate(bare),
        lines.len() as f64 / 1e6 / ours.as_secs_f64()
    );
}

fn rows(view: &View, reader: impl BufRead) -> usize {
    let mut batches = view.read(reader, |_| ());
    let rows = batches.by_ref().map(|batch| black_box(batch.unwrap()).num_rows()).sum();
    assert_eq!(batches.counts().skipped, 0);
    rows
}

/// The time that this thread was on a processor for it, also if others wanted that too.
fn timed(run: impl FnOnce()) -> Duration {
    let begin = on_processor();
    run();
    on_processor() - begin
}

fn on_processor() -> Duration {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedule.split(' ').next().unwrap().parse().unwrap())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The highest resident memory of the process before and after reading many times as much.
fn memory() {
    let view = kds::view("diagnosis").unwrap().unwrap();
    let lines: String = (0..RESOURCES).map(condition).collect();
    let again = |times| {
        BufReader::new(Again {
            bytes: lines.as_bytes(),
            times,
            at: 0,
        })
    };
    rows(&view, again(1));
    let before = peak_kib();
    let many = rows(&view, again(20));
    println!(
        "peak memory after {RESOURCES} Conditions {before} KiB, after {many} more rows {} KiB",
        peak_kib()
    );
}

struct Again<'a> {
    bytes: &'a [u8],
    times: usize,
    at: usize,
}

impl Read for Again<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.bytes.len() && self.times > 1 {
            self.at = 0;
            self.times -= 1;
        }
        let count = into.len().min(self.bytes.len() - self.at);
        into[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0)
}

/// Resources as a hospital's server writes them: about as long, as nested and with as many names.
fn condition(number: usize) -> String {
    line(&format!(
        r#"{{"resourceType":"Condition","id":"c-{number}","meta":{{"versionId":"1","lastUpdated":"2024-03-01T08:15:30.123+01:00","profile":["https://www.medizininformatik-initiative.de/fhir/core/modul-diagnose/StructureDefinition/Diagnose"]}},"extension":[{{"url":"http://hl7.org/fhir/StructureDefinition/condition-assertedDate","valueDateTime":"2024-02-{:02}"}}],"clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}}]}},"verificationStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}}]}},"code":{{"coding":[{{"extension":[{{"url":"http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit","valueCoding":{{"system":"https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT","code":"G"}}}}],"system":"http://fhir.de/CodeSystem/bfarm/icd-10-gm","version":"2024","code":"C50.{}","display":"Bösartige Neubildung der Brustdrüse"}},{{"system":"http://snomed.info/sct","code":"254837009"}}],"text":"Mammakarzinom"}},"subject":{{"reference":"Patient/p-{}"}},"encounter":{{"reference":"Encounter/e-{}"}},"onsetDateTime":"2024-01","recordedDate":"2024-02-{:02}T09:00:00+01:00"}}"#,
        number % 28 + 1,
        number % 10,
        number % 9_973,
        number % 29_989,
        number % 28 + 1,
    ))
}

fn observation(number: usize) -> String {
    line(&format!(
        r#"{{"resourceType":"Observation","id":"o-{number}","meta":{{"profile":["https://www.medizininformatik-initiative.de/fhir/core/modul-labor/StructureDefinition/ObservationLab"]}},"identifier":[{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"OBI"}}]}},"system":"https://labor.example/befund","value":"{number}_1"}}],"status":"final","category":[{{"coding":[{{"system":"http://loinc.org","code":"26436-6"}},{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}}],"text":"Hämoglobin"}},"subject":{{"reference":"Patient/p-{}"}},"encounter":{{"reference":"Encounter/e-{}"}},"effectiveDateTime":"2024-02-{:02}T07:05:00+01:00","valueQuantity":{{"value":{}.{},"unit":"g/dl","system":"http://unitsofmeasure.org","code":"g/dL"}},"interpretation":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N"}}]}}],"referenceRange":[{{"low":{{"value":12.0,"system":"http://unitsofmeasure.org","code":"g/dL"}},"high":{{"value":16.0,"system":"http://unitsofmeasure.org","code":"g/dL"}}}}]}}"#,
        number % 9_973,
        number % 29_989,
        number % 28 + 1,
        9 + number % 9,
        number % 10,
    ))
}

fn patient(number: usize) -> String {
    line(&format!(
        r#"{{"resourceType":"Patient","id":"p-{number}","meta":{{"profile":["https://www.medizininformatik-initiative.de/fhir/core/modul-person/StructureDefinition/Patient"]}},"identifier":[{{"use":"usual","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}}]}},"system":"https://klinik.example/pid","value":"{number}"}}],"name":[{{"use":"official","family":"Muster","given":["Erika","Maria"],"prefix":["Dr."],"_prefix":[{{"extension":[{{"url":"http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier","valueCode":"AC"}}]}}]}}],"gender":"female","birthDate":"19{:02}-0{}-15","deceasedBoolean":false,"address":[{{"type":"both","line":["Musterweg {}"],"city":"Saarbrücken","postalCode":"66{:03}","country":"DE"}}]}}"#,
        number % 90 + 10,
        number % 9 + 1,
        number % 99,
        number % 1_000,
    ))
}

fn line(json: &str) -> String {
    let mut line = String::with_capacity(json.len() + 1);
    writeln!(line, "{json}").unwrap();
    line
}
