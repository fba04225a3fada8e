"""The catalogue of the demonstration, exported by the program, held against the SHACL shapes of HealthDCAT-AP by pySHACL.

The shapes are those that the HealthData@EU validator uses for sensitive data: those of DCAT-AP 3 with what HealthDCAT-AP adds. They are
SEMIC's and the EHDS projects' (CC BY 4.0) and are not kept here: the package dh-healthdcat (PyPI, Apache-2.0) brings them, and
this reads them from there and nothing else of it.

Usage: dcat_shacl.py PROGRAM
"""

import json
import pathlib
import subprocess
import sys
import tempfile
from importlib.metadata import distribution

from pyshacl import validate
from rdflib import RDF, Graph, Literal, Namespace, URIRef
from rdflib.compare import isomorphic

PROJECT = pathlib.Path(__file__).parents[2]
DCAT = Namespace("http://www.w3.org/ns/dcat#")
DCT = Namespace("http://purl.org/dc/terms/")
HEALTH = Namespace("http://healthdataportal.eu/ns/health#")
ADMS = Namespace("http://www.w3.org/ns/adms#")
FOAF = Namespace("http://xmlns.com/foaf/0.1/")
CSVW = Namespace("http://www.w3.org/ns/csvw#")
DPV = Namespace("https://w3id.org/dpv#")
VCARD = Namespace("http://www.w3.org/2006/vcard/ns#")
DCATAP = Namespace("http://data.europa.eu/r5r/")
SH = Namespace("http://www.w3.org/ns/shacl#")


def shapes():
    name = "hdap-validator-sensitivity-shape.ttl"
    [file] = [file for file in distribution("dh-healthdcat").files if file.name == name]
    return Graph().parse(file.locate(), format="turtle")


def violations(graph, against):
    """What is wrong with a graph: about what, and along which property."""
    _, report, _ = validate(graph, shacl_graph=against, inference="none", advanced=True)
    results = report.subjects(RDF.type, SH.ValidationResult)
    return {(str(report.value(one, SH.focusNode)), str(report.value(one, SH.resultPath))) for one in results}


# What each mandatory statement is about, and which statement: without it there must be a violation.
MANDATORY = [
    (DCAT.Catalog, DCT.title),
    (DCAT.Catalog, DCT.description),
    (DCAT.Catalog, DCT.publisher),
    (DCAT.Catalog, DCATAP.applicableLegislation),
    *[
        (DCAT.Dataset, path)
        for path in [
            DCT.title, DCT.description, DCT.identifier, DCT.accessRights, DCT.publisher, DCT.type, DCT.spatial, DCT.provenance,
            DCAT.contactPoint, DCAT.keyword, DCAT.theme, DCAT.distribution, ADMS.sample, DPV.hasPurpose,
            HEALTH.hdab, HEALTH.healthCategory, HEALTH.healthTheme, DCATAP.applicableLegislation,
        ]
    ],
    (DCAT.Distribution, DCAT.accessURL),
    (DCAT.DataService, DCAT.endpointURL),
    (DCAT.DataService, DCT.title),
    (FOAF.Agent, FOAF.name),
    (FOAF.Agent, FOAF.mbox),
    (VCARD.Kind, VCARD.hasEmail),
    (CSVW.Table, CSVW.column),
    (CSVW.Column, CSVW.datatype),
]


def mutilated(graph, kind, path):
    """The graph without one statement of all things of a kind."""
    less = Graph()
    gone = set(graph.subjects(RDF.type, kind))
    for subject, predicate, thing in graph:
        if not (subject in gone and predicate == path):
            less.add((subject, predicate, thing))
    assert len(less) < len(graph), f"the export has no {path} of a {kind}"
    return less


def part_about(graph, collection):
    """One data set of a collection with all that is said along with it: as much as is quickly checked again and again."""
    dataset = min(d for d in graph.subjects(RDF.type, DCAT.Dataset) if str(d).endswith(f"/{collection}"))
    [catalog] = graph.subjects(RDF.type, DCAT.Catalog)
    few, todo, seen = Graph(), [dataset], {catalog}
    for triple in graph.triples((catalog, None, None)):
        if triple[1] not in (DCAT.dataset, DCAT.service) or str(triple[2]).startswith(str(dataset)):
            few.add(triple)
            todo.append(triple[2])
    while todo:
        subject = todo.pop()
        if subject in seen or isinstance(subject, Literal):
            continue
        seen.add(subject)
        for triple in graph.triples((subject, None, None)):
            few.add(triple)
            todo.append(triple[2])
    return few


def export(program, *words):
    words = [program, "catalog", "export", "--describe", PROJECT / "demo/catalog.toml", *words]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(program, sandbox):
    against = shapes()
    asked = ["--sandbox", sandbox]
    graph = Graph().parse(data=export(program, *asked), format="turtle")
    datasets = set(graph.subjects(RDF.type, DCAT.Dataset))
    assert len(datasets) == 20, len(datasets)
    found = violations(graph, against)
    assert not found, sorted(found)
    json_ld = export(program, *asked, "--format", "jsonld")
    json.loads(json_ld)
    assert isomorphic(graph, Graph().parse(data=json_ld, format="json-ld")), "Turtle and JSON-LD differ"

    own = ["--config", sandbox / "nodes/gbsg/node.toml"]
    of_node = Graph().parse(data=export(program, *own), format="turtle")
    [dataset] = of_node.subjects(RDF.type, DCAT.Dataset)
    assert dataset in datasets
    found = violations(of_node, against)
    assert not found, sorted(found)

    few = part_about(graph, "lung-cancer")
    assert not violations(few, against)
    for kind, path in MANDATORY:
        assert violations(mutilated(few, kind, path), against), f"without {path} of {kind} nothing is wrong"
    wrong = part_about(graph, "lung-cancer")
    [identifier] = wrong.objects(min(wrong.subjects(RDF.type, DCAT.Dataset)), DCT.identifier)
    wrong.remove((None, DCT.identifier, identifier))
    wrong.add((min(wrong.subjects(RDF.type, DCAT.Dataset)), DCT.identifier, URIRef(identifier)))
    assert violations(wrong, against), "an identifier that is no literal is not found"
    print(
        f"{len(datasets)} data sets of the demonstration and the one of a node's operator: no violation; "
        f"without each of {len(MANDATORY)} mandatory statements, one"
    )


TWINS = f"""
space       = "oncology"
board       = {{ members = 3, threshold = 2 }}
collections = ["{PROJECT}/policies/oncology/collections/lung-cancer.toml"]
policies    = ["{PROJECT}/policies/oncology/policies/lung-cancer-research.toml"]

[[node]]
id       = "twin"
roles    = ["hospital"]
datasets = [{{ collection = "lung-cancer", synthetic = {{ people = 100 }} }}]

[[person]]
id     = "ada"
member = "saarland-university"
roles  = ["university"]
"""


def check_twins(program, sandbox):
    """Made-up data are valid entries too, and say what they are."""
    graph = Graph().parse(data=export(program, "--sandbox", sandbox), format="turtle")
    [dataset] = graph.subjects(RDF.type, DCAT.Dataset)
    found = violations(graph, shapes())
    assert not found, sorted(found)
    assert str(graph.value(dataset, DCT.type)).endswith("/SYNTHETIC_DATA")
    print("a data set of made-up people: no violation")


def in_a_sandbox(program, spec, checks):
    with tempfile.TemporaryDirectory() as place:
        sandbox = pathlib.Path(place) / "sandbox"
        subprocess.run([program, "sandbox", "up", spec, "--dir", sandbox], check=True, capture_output=True)
        try:
            checks(program, sandbox)
        finally:
            subprocess.run([program, "sandbox", "down", sandbox], check=True, capture_output=True)


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    in_a_sandbox(program, PROJECT / "demo/oncology.toml", check)
    with tempfile.TemporaryDirectory() as place:
        spec = pathlib.Path(place) / "twins.toml"
        spec.write_text(TWINS)
        in_a_sandbox(program, spec, check_twins)


if __name__ == "__main__":
    main()
