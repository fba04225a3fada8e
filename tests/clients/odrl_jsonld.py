#!/usr/bin/env python3
"""Reads exported policies with a JSON-LD processor that is not ours, without a network.

    python3 -m venv VENV && VENV/bin/pip install pyld rdflib
    VENV/bin/python tests/clients/odrl_jsonld.py EXPORT.json...

Checks that nothing of the document is lost on the way to RDF, that it comes back by compaction, that every word of
ODRL in it is one of ODRL 2.2 and stands where the Information Model allows it, and that two processors read the same graph.
Exits 0 if all of that holds for every file.
"""

import json
import sys
from collections import Counter

from pyld import jsonld
from rdflib import Graph
from rdflib.compare import isomorphic
from rdflib.namespace import ODRL2

ODRL = "http://www.w3.org/ns/odrl/2/"
PROFILE = "urn:datenraum:odrl:1"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# Of "ODRL Vocabulary & Expression 2.2", W3C Recommendation, 15 February 2018, https://www.w3.org/TR/odrl-vocab/: classes,
# properties and named individuals of the Core and the Common Vocabulary. Deprecated terms are left out.
CLASSES = set(
    "Policy Set Offer Agreement Assertion Privacy Request Ticket Rule Permission Prohibition Duty Asset AssetCollection "
    "Party PartyCollection Action Constraint LogicalConstraint Operator LeftOperand RightOperand ConflictTerm".split()
)
PROPERTIES = set(
    "uid profile inheritFrom conflict permission prohibition obligation relation target output hasPolicy function assigner "
    "assignee action constraint refinement duty consequence remedy failure leftOperand operator rightOperand "
    "rightOperandReference unit dataType status operand or xone and andSequence partOf source includedIn implies".split()
)
LEFT_OPERANDS = set(
    "absolutePosition absoluteSize absoluteSpatialPosition absoluteTemporalPosition count dateTime delayPeriod "
    "deliveryChannel elapsedTime event fileFormat industry language media meteredTime payAmount percentage product purpose "
    "recipient relativePosition relativeSize relativeSpatialPosition relativeTemporalPosition resolution spatial "
    "spatialCoordinates systemDevice timeInterval unitOfCount version virtualLocation".split()
)
OPERATORS = set("eq gt gteq hasPart isA isAllOf isAnyOf isNoneOf isPartOf lt lteq neq".split())
ACTIONS = set(
    "use transfer acceptTracking aggregate annotate anonymize archive attribute compensate concurrentUse delete derive "
    "digitize display distribute ensureExclusivity execute extract give grantUse include index inform install modify move "
    "nextPolicy obtainConsent play present print read reproduce reviewPolicy sell stream synchronize textToSpeech transform "
    "translate uninstall watermark".split()
)
OTHERS = {"perm", "prohibit", "invalid", "policyUsage", "core"}


class Wrong(Exception):
    """The document is not what it should be."""


def no_network(url, _options=None):
    raise Wrong(f"the document needs {url}: an export must be complete in itself")


def require(holds, message):
    if not holds:
        raise Wrong(message)


def leaves(value, keyword_names):
    """How often each value stands in a document, whatever its place; contexts and types of literals aside."""
    found = Counter()
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in keyword_names:
                found += leaves(inner, keyword_names)
    elif isinstance(value, list):
        for inner in value:
            found += leaves(inner, keyword_names)
    else:
        found[json.dumps(value)] += 1
    return found


def members(value):
    """How many members the objects of a document have, and how many of their names are IRIs."""
    if isinstance(value, dict):
        own = [name for name in value if not name.startswith("@")]
        count = Counter(all=len(own), iri=sum(":" in name for name in own))
        for inner in value.values():
            count += members(inner)
        return count
    if isinstance(value, list):
        return sum((members(inner) for inner in value), Counter())
    return Counter()


def written_members(value, aliases):
    """How many members stand in the document as it is written, without keywords, their aliases and the context."""
    if isinstance(value, dict):
        own = sum(not name.startswith("@") and name not in aliases for name in value)
        return own + sum(written_members(inner, aliases) for name, inner in value.items() if name != "@context")
    if isinstance(value, list):
        return sum(written_members(inner, aliases) for inner in value)
    return 0


def nodes(expanded):
    """Every object inside an expanded document."""
    if isinstance(expanded, dict):
        yield expanded
        for inner in expanded.values():
            yield from nodes(inner)
    elif isinstance(expanded, list):
        for inner in expanded:
            yield from nodes(inner)


def odrl_name(iri):
    return iri[len(ODRL):] if iri.startswith(ODRL) else None


def ids(node, word):
    return [value["@id"] for value in node.get(ODRL + word, []) if "@id" in value]


def one(node, word, what):
    values = node.get(ODRL + word, [])
    require(len(values) == 1, f"{what} has {len(values)} of odrl:{word}, and must have one")
    return values[0]


def check_words(expanded):
    """Every word of ODRL exists and is of the right kind. Returns them."""
    used = set()
    for node in nodes(expanded):
        for name in node:
            if (word := odrl_name(name)) is not None:
                require(word in PROPERTIES, f"odrl:{word} is no property of ODRL 2.2")
                used.add(word)
        for kind in node.get("@type", []) if "@value" not in node else []:
            word = odrl_name(kind)
            require(word is None or word in CLASSES, f"odrl:{word} is no class of ODRL 2.2")
            used.add(word or kind)
        for property_name, allowed in (("leftOperand", LEFT_OPERANDS), ("operator", OPERATORS), ("action", ACTIONS)):
            for iri in ids(node, property_name):
                word = odrl_name(iri)
                if word is None:
                    require(iri.startswith(PROFILE + ":"), f"{iri} is neither ODRL's nor the profile's")
                    require(property_name != "operator", f"the profile has no operator {iri}")
                else:
                    require(word in allowed, f"odrl:{word} is no {property_name} of ODRL 2.2")
                    used.add(word)
        if "@id" in node and (word := odrl_name(node["@id"])) is not None:
            known = CLASSES | LEFT_OPERANDS | OPERATORS | ACTIONS | OTHERS
            require(word in known, f"odrl:{word} is not a term of ODRL 2.2")
            used.add(word)
    return used


def check_constraint(node):
    kinds = node["@type"]
    if kinds == [ODRL + "LogicalConstraint"]:
        operands = one(node, "andSequence", "a logical constraint")["@list"]
        require(len(operands) > 1, "a logical constraint has operands")
        for operand in operands:
            check_constraint(operand)
        return
    require(kinds == [ODRL + "Constraint"], f"a constraint is of type {kinds}")
    for word in ("leftOperand", "operator", "rightOperand"):
        one(node, word, "a constraint")
    is_list = "@list" in node[ODRL + "rightOperand"][0]
    is_set_operator = ids(node, "operator") == [ODRL + "isAnyOf"]
    require(is_list == is_set_operator, "lists stand with isAnyOf, and with nothing else")


def check_rule(rule, kind):
    """ODRL Information Model 2.2, sections 2.6 (rules), 2.2 (assets), 2.3 (parties), 2.4 (actions), 2.5 (constraints)."""
    require(rule.get("@type") == [ODRL + kind], f"a rule of {kind} is of type {rule.get('@type')}")
    action = one(rule, "action", kind)
    if "@id" not in action:
        require(len(action.get(RDF + "value", [])) == 1, "a refined action names the action that it refines")
        require(action.get(ODRL + "refinement"), "a refined action has refinements")
    target = one(rule, "target", kind)
    for of, collection in (("target", "AssetCollection"), ("assignee", "PartyCollection")):
        for node in rule.get(ODRL + of, []):
            if node.get("@type"):
                require(node["@type"] == [ODRL + collection], f"a refined {of} is an odrl:{collection}")
                one(node, "source", collection)
                require("@id" not in node, "what is refined has no name of its own")
    require(len(rule.get(ODRL + "assignee", [])) <= 1, f"{kind} has more than one assignee")
    for holder in (rule, action, target, *rule.get(ODRL + "assignee", [])):
        for word in ("constraint", "refinement"):
            for node in holder.get(ODRL + word, []):
                check_constraint(node)
    for duty in rule.get(ODRL + "duty", []):
        require(kind == "Permission", "only permissions have duties")
        check_rule(duty, "Duty")


def check_offer(expanded):
    require(len(expanded) == 1, f"the document has {len(expanded)} nodes at the top, and must have one")
    offer = expanded[0]
    require(offer.get("@type") == [ODRL + "Offer"], "the document is an odrl:Offer")
    require(":" in offer.get("@id", ""), "the offer has an IRI")
    require(ids(offer, "profile") == [PROFILE], "the offer declares the profile")
    require(ids(offer, "conflict") == [ODRL + "prohibit"], "prohibitions win")
    require(len(ids(offer, "assigner")) == 1, "an offer has one assigner (Information Model 2.1.2)")
    rules = Counter()
    for word, kind in (("permission", "Permission"), ("prohibition", "Prohibition"), ("obligation", "Duty")):
        for rule in offer.get(ODRL + word, []):
            rules[word] += 1
            check_rule(rule, kind)
    named = [rule["@id"] for word in ("permission", "prohibition") for rule in offer.get(ODRL + word, [])]
    require(len(set(named)) == len(named), "two rules have one IRI")
    return rules


def check_file(path):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    context = document["@context"]
    require(isinstance(context, dict), "the context is written out")
    aliases = {term for term, meaning in context.items() if isinstance(meaning, str) and meaning.startswith("@")}

    # Nothing lost on expansion: as many members, all with IRIs, and as many values.
    expanded = jsonld.expand(document)
    after = members(expanded)
    before = written_members(document, aliases)
    require(after["all"] == after["iri"], "a member has no IRI")
    require(after["all"] == before, f"{before} members are written, {after['all']} are left")
    expanded_leaves = sum(leaves(expanded, {"@context"}).values())
    written_leaves = sum(leaves(document, {"@context"}).values())
    typed = sum("@value" in node and "@type" in node for node in nodes(expanded))
    written_typed = sum("@value" in node and "@type" in node for node in nodes(document))
    require(
        expanded_leaves - typed == written_leaves - written_typed,
        f"{written_leaves - written_typed} values are written, {expanded_leaves - typed} are left",
    )

    # And back.
    compacted = jsonld.compact(expanded, context)
    require(jsonld.expand(compacted) == expanded, "compaction and expansion do not come back to the same")

    words = check_words(expanded)
    rules = check_offer(expanded)

    # Two processors, one graph; with its canonical form a change of any value is a change of the text.
    options = {"algorithm": "URDNA2015", "format": "application/n-quads"}
    canonical = jsonld.normalize(document, options)
    theirs = Graph().parse(data=json.dumps(document), format="json-ld")
    ours = Graph().parse(data=canonical, format="nt")
    require(len(ours) == len(theirs), f"pyld reads {len(ours)} triples, rdflib {len(theirs)}")
    require(isomorphic(ours, theirs), "pyld and rdflib read different graphs")
    changed = json.loads(json.dumps(document))
    changed["dct:title"] += "."
    require(jsonld.normalize(changed, options) != canonical, "the canonical form does not see a change")

    # What rdflib knows as ODRL 2.2, made from W3C's ontology file, is a second opinion about the lists above.
    unknown = sorted(word for word in words if ":" not in word and word not in ODRL2)
    require(not unknown, f"rdflib has no {unknown} in ODRL")

    print(f"{path}: {document['uid']}")
    print(f"  {before} members, {written_leaves} values, {len(ours)} triples; none lost")
    print("  " + ", ".join(f"{count} of {word}" for word, count in sorted(rules.items())))
    print("  words of ODRL 2.2: " + " ".join(sorted(word for word in words if ":" not in word)))


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    jsonld.set_document_loader(no_network)
    failed = 0
    for path in paths:
        try:
            check_file(path)
        except (Wrong, KeyError, AttributeError, jsonld.JsonLdError, json.JSONDecodeError, OSError) as error:
            print(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
