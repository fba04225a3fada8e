//! The story of one question: documents, catalogue, split, fan out, pool, finish, coverage.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use engine::read::Collections;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use policy::{Caller, Rules};
use terms::{Clock, CollectionId, MemberId, PermitId, Problem, Purpose, Report, limit};
use tokio::sync::Mutex;
use tonic::Request;
use trust::{Credential, Digest, Proof, SigningKey, SpaceStore, Verified};
use wire::description::{self, BROKER_AUDIENCE, DISCOVER_QUERY, NodeDescription};
use wire::header::Tokens;
use wire::status::Ended;
use wire::v1::DiscoverRequest;
use wire::v1::catalog_service_client::CatalogServiceClient;
use wire::{BrokerSource, Connection};

use crate::answer::{Answer, AppliedPolicy, Coverage, Status};
use crate::combine::{self, PooledTable};
use crate::finish;
use crate::node::{Errand, NodeAnswer, Part, Peer};
use crate::profile::Profile;
use crate::split::{self, Leaf, Split};

/// Where the last catalogue is kept, for when the broker is away. Descriptions are signed.
const CATALOG_FILE: &str = "catalog.json";

/// A person who can ask a data space.
#[derive(Debug)]
pub struct Asker {
    profile: Profile,
    key: Arc<SigningKey>,
    credential: String,
    caller: Caller,
    rules: Rules,
    peers: Vec<Offer>,
    connections: Mutex<BTreeMap<MemberId, Connection>>,
    clock: Arc<dyn Clock>,
}

/// A node and what it offers.
#[derive(Clone, Debug)]
struct Offer {
    peer: Peer,
    collections: Vec<CollectionId>,
}

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// SQL over collections.
    pub sql: String,
    /// What the answer is for.
    pub purpose: Option<Purpose>,
    /// The data permit, where one is needed.
    pub permit: Option<PermitId>,
}

/// What would be asked of whom.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Plan {
    /// One for each part of the query that nodes run.
    pub parts: Vec<PlannedPart>,
}

/// One part of a query that nodes run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PlannedPart {
    /// The SQL that each node is asked.
    pub sql: String,
    /// The nodes.
    pub nodes: Vec<MemberId>,
    /// What the documents that the asker holds say about it; nodes decide for themselves.
    pub decision: String,
}

impl Asker {
    /// Loads key and credential, fetches documents and catalogue, or falls back to the last verified ones.
    ///
    /// # Errors
    /// What is missing, does not verify or cannot be reached.
    pub async fn open(profile: Profile, clock: Arc<dyn Clock>) -> Result<Self, Report> {
        let key = Arc::new(SigningKey::load(&profile.key)?);
        let credential = profile.credential_text()?;
        let store = SpaceStore::open_or_create(&profile.data, &profile.root_document()?)?;
        let broker = wire::connect(&profile.broker.address, "broker", &profile.broker.key).await;
        let documents = match &broker {
            Ok(broker) => {
                let source = BrokerSource::new(broker.clone(), profile.space.clone());
                trust::refresh(&source, &store, clock.now()).await
            }
            Err(unreachable) => Err(unreachable.clone()),
        };
        let documents = match documents {
            Err(report) if report.problem == Problem::Unreachable => {
                trust::last_good(&store, clock.now()).await.map_err(|_| report)?
            }
            offered => offered?,
        };
        let rules = Rules::compile(&documents)?;
        let issuer_key = |member: &MemberId| rules.members.get(member).map(|member| member.key);
        let verified = Credential::verify(&credential, &profile.space, issuer_key, clock.now())?;
        let caller = Caller {
            member: verified.member.clone(),
            person: verified.person.clone(),
            roles: verified.roles.clone(),
        };
        let envelopes = match &broker {
            Ok(broker) => discover(broker, &profile, &key, &credential, clock.as_ref()).await,
            Err(unreachable) => Err(unreachable.clone()),
        };
        let kept = kept_catalog(&profile);
        let envelopes = match envelopes {
            Err(report) if report.problem == Problem::Unreachable => kept?,
            // A broker must not hide a node that it showed before, or show it as it was long ago.
            shown => shown?.into_iter().chain(kept.unwrap_or_default()).collect(),
        };
        let described = latest(&envelopes, &rules);
        keep_catalog(&profile, described.values().map(|(_, envelope)| *envelope));
        let peers = peers(&described, &rules);
        let connections = Mutex::default();
        Ok(Self {
            profile,
            key,
            credential,
            caller,
            rules,
            peers,
            connections,
            clock,
        })
    }

    /// The rules as the asker holds them.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What would be asked of whom. Nothing is asked.
    ///
    /// # Errors
    /// As [`Asker::ask`], before anything is asked.
    pub async fn plan(&self, question: &Question) -> Result<Plan, Report> {
        let split = self.split(question).await?;
        let part = |leaf: &Leaf| {
            let nodes = self.concerned(leaf).map(|offer| offer.peer.member.clone()).collect();
            PlannedPart {
                sql: leaf.asked.to_string(),
                nodes,
                decision: self.foresee(leaf, question),
            }
        };
        Ok(Plan {
            parts: split.leaves.iter().map(part).collect(),
        })
    }

    /// Asks all nodes and pools what they release.
    ///
    /// # Errors
    /// If the question cannot be asked or the pooled results cannot be combined. What happens at a node is no
    /// error but in the answer's coverage.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Report> {
        let split = self.split(question).await?;
        for leaf in &split.leaves {
            if self.concerned(leaf).next().is_none() {
                let message = format!("no node offers {} to you", leaf.collection.sql_name());
                return Err(Problem::NoNode.report(message));
            }
        }
        let errand = Errand {
            space: self.profile.space.clone(),
            key: Arc::clone(&self.key),
            credential: self.credential.clone(),
            purpose: question.purpose,
            permit: question.permit.clone(),
        };
        let asking: FuturesUnordered<_> = self
            .peers
            .iter()
            .map(|offer| self.ask_node(offer, &split.leaves, &errand))
            .collect();
        let mut asked: Vec<Asked> = asking.filter_map(std::future::ready).collect().await;
        asked.sort_by(|a, b| a.peer.member.cmp(&b.peer.member));

        let mut coverage: Vec<Coverage> = asked.iter().map(coverage).collect();
        let query_id = trust::new_query_id()?;
        if coverage.iter().all(|node| node.status != Status::Answered) {
            let schema = Arc::clone(split.rest.schema().inner());
            return Ok(Answer {
                query_id,
                schema,
                batches: Vec::new(),
                intervals: Vec::new(),
                rows_open: false,
                coverage,
            });
        }
        let tables = pool(&split, &asked)?;
        for node in &mut coverage {
            node.suppressed_cells = tables.iter().filter_map(|table| table.suppressed.get(&node.node)).sum();
        }
        let finished = finish::finish(split, &tables).await?;
        let finish::Finished {
            schema,
            batches,
            intervals,
            rows_open,
        } = finished;
        Ok(Answer {
            query_id,
            schema,
            batches,
            intervals,
            rows_open,
            coverage,
        })
    }

    async fn split(&self, question: &Question) -> Result<Split, Report> {
        let queryable = policy::queryable(&self.rules, &self.caller, self.clock.now());
        let visible: Collections = queryable
            .into_iter()
            .map(|q| (q.collection.id.clone(), q.collection))
            .collect();
        let split = split::split(&question.sql, &self.rules.collections, &visible).await?;
        let closed = split
            .leaves
            .iter()
            .find(|leaf| !visible.contains_key(&leaf.collection.id));
        match closed.map(|leaf| self.decide(leaf, question)) {
            // No node would admit that it has the collection; the asker's own documents say why.
            Some(policy::Decision::Refuse(refusal)) => Err(refusal.into()),
            Some(policy::Decision::Allow(_)) | None => Ok(split),
        }
    }

    fn concerned<'a>(&'a self, leaf: &'a Leaf) -> impl Iterator<Item = &'a Offer> {
        self.peers.iter().filter(|offer| offer.is_asked(leaf))
    }

    /// What the documents that the asker holds say. Nodes decide for themselves.
    fn decide(&self, leaf: &Leaf, question: &Question) -> policy::Decision {
        let request = policy::AccessRequest {
            caller: self.caller.clone(),
            purpose: question.purpose,
            permit: question.permit.clone(),
            collection: leaf.collection.id.clone(),
            release: leaf.asked.release(),
            columns: leaf.asked.columns(),
            at: self.clock.now(),
        };
        policy::decide(&self.rules, &request)
    }

    fn foresee(&self, leaf: &Leaf, question: &Question) -> String {
        match self.decide(leaf, question) {
            policy::Decision::Allow(grant) => {
                format!(
                    "allowed by {} of {} version {}",
                    grant.rule(),
                    grant.policy(),
                    grant.version()
                )
            }
            policy::Decision::Refuse(refusal) => format!("refused: {}; {}", refusal.message, refusal.remedy),
        }
    }

    /// Asks one node all parts that concern it. `None` if none does.
    async fn ask_node<'a>(&self, offer: &'a Offer, leaves: &[Leaf], errand: &Errand) -> Option<Asked<'a>> {
        let parts: Vec<(usize, &Leaf)> = leaves
            .iter()
            .enumerate()
            .filter(|(_, leaf)| offer.is_asked(leaf))
            .collect();
        if parts.is_empty() {
            return None;
        }
        let outcome = self.ask_parts(&offer.peer, &parts, errand).await;
        Some(Asked {
            peer: &offer.peer,
            outcome,
        })
    }

    async fn ask_parts(
        &self,
        peer: &Peer,
        parts: &[(usize, &Leaf)],
        errand: &Errand,
    ) -> Result<BTreeMap<usize, NodeAnswer>, Ended> {
        let connection = self.connection(peer).await?;
        let mut answers = BTreeMap::new();
        for (at, leaf) in parts {
            let part = Part {
                peer,
                errand,
                query: &leaf.asked,
                collection: &leaf.collection,
            };
            match part.ask(&connection, self.clock.now()).await {
                Ok(answer) => drop(answers.insert(*at, answer)),
                Err(ended) => {
                    if ended.report.problem == Problem::Unreachable {
                        self.connections.lock().await.remove(&peer.member);
                    }
                    return Err(ended);
                }
            }
        }
        Ok(answers)
    }

    async fn connection(&self, peer: &Peer) -> Result<Connection, Report> {
        if let Some(open) = self.connections.lock().await.get(&peer.member) {
            return Ok(open.clone());
        }
        let opened = wire::connect(&peer.address, peer.member.as_str(), &peer.key).await?;
        self.connections
            .lock()
            .await
            .insert(peer.member.clone(), opened.clone());
        Ok(opened)
    }
}

impl Offer {
    fn is_asked(&self, leaf: &Leaf) -> bool {
        self.collections.contains(&leaf.collection.id) && split::concerns(leaf, self.peer.member.as_str())
    }
}

/// What became of a question at one node: its answers by leaf, or why there are none. A node that answers only a
/// part of a question has not answered it.
struct Asked<'a> {
    peer: &'a Peer,
    outcome: Result<BTreeMap<usize, NodeAnswer>, Ended>,
}

fn pool(split: &Split, asked: &[Asked<'_>]) -> Result<Vec<PooledTable>, Report> {
    let table = |(at, leaf): (usize, &Leaf)| {
        let answers = asked.iter().filter_map(|asked| {
            let answer = asked.outcome.as_ref().ok()?.get(&at)?;
            Some((asked.peer.member.clone(), answer))
        });
        combine::pool(leaf, &answers.collect::<Vec<_>>())
    };
    split.leaves.iter().enumerate().map(table).collect()
}

fn coverage(asked: &Asked<'_>) -> Coverage {
    let mut coverage = Coverage {
        node: asked.peer.member.clone(),
        status: Status::Answered,
        suppressed_cells: 0,
        policy: None,
        problem: None,
        message: None,
        remedy: None,
        query_id: None,
        receipts: Vec::new(),
    };
    match &asked.outcome {
        Ok(answers) => {
            for answer in answers.values() {
                let receipt = &answer.receipt;
                coverage.query_id = Some(receipt.query_id.clone());
                coverage.policy = Some(AppliedPolicy {
                    id: receipt.policy.clone(),
                    version: receipt.policy_version,
                    rule: receipt.rule.clone(),
                    min_people: receipt.min_people,
                });
                coverage.receipts.push(answer.envelope.clone());
            }
        }
        Err(Ended { report, query_id }) => {
            coverage.status = Status::of(report.problem);
            coverage.problem = Some(report.problem);
            coverage.message = Some(report.message.clone());
            coverage.remedy = Some(report.remedy.clone());
            coverage.query_id = query_id.clone();
        }
    }
    coverage
}

async fn discover(
    broker: &Connection,
    profile: &Profile,
    key: &SigningKey,
    credential: &str,
    clock: &dyn Clock,
) -> Result<Vec<Vec<u8>>, Report> {
    let proof = Proof {
        node: BROKER_AUDIENCE.to_owned(),
        query: Digest::of(DISCOVER_QUERY),
        purpose: None,
        permit: None,
        channel: broker.binding()?,
    };
    let proof = proof
        .issue(key, clock.now())
        .map_err(|error| Problem::TokenMalformed.report(error.to_string()))?;
    let mut request = Request::new(DiscoverRequest {
        space: profile.space.to_string(),
    });
    wire::header::attach(
        request.metadata_mut(),
        Tokens {
            credential,
            proof: &proof,
        },
    )?;
    let mut catalog = CatalogServiceClient::new(broker.grpc.clone());
    let seconds = limit::CATALOG_SECONDS_MAX;
    let response = tokio::time::timeout(Duration::from_secs(seconds), catalog.discover(request)).await;
    let late = |_| Problem::Unreachable.report(format!("the broker did not answer within {seconds} s"));
    let response = response
        .map_err(late)?
        .map_err(|status| wire::status::from_status(&status, "the broker").report)?;
    Ok(response.into_inner().envelopes)
}

fn keep_catalog<'a>(profile: &Profile, envelopes: impl Iterator<Item = &'a [u8]>) {
    let texts: Vec<_> = envelopes.map(String::from_utf8_lossy).collect();
    // Whole or not at all: another question may be reading it.
    let draft = profile.data.join(format!("{CATALOG_FILE}.{}", std::process::id()));
    let written = serde_json::to_vec(&texts).map(|text| {
        fs::write(&draft, text)?;
        fs::rename(&draft, profile.data.join(CATALOG_FILE))
    });
    // Only a convenience: without it the catalogue is asked for again.
    drop(written);
}

fn kept_catalog(profile: &Profile) -> Result<Vec<Vec<u8>>, Report> {
    let unreachable = || Problem::Unreachable.report("the broker does not answer and no catalogue is kept");
    let text = fs::read(profile.data.join(CATALOG_FILE)).map_err(|_| unreachable())?;
    let texts: Vec<String> = serde_json::from_slice(&text).map_err(|_| unreachable())?;
    Ok(texts.into_iter().map(String::into_bytes).collect())
}

type Described<'a> = BTreeMap<MemberId, (Verified<NodeDescription>, &'a [u8])>;

/// The latest description of each node that verifies with the keys of the roster. Others do not exist for the asker,
/// and a node that is described twice is still one node.
fn latest<'a>(envelopes: &'a [Vec<u8>], rules: &Rules) -> Described<'a> {
    let key_of = |member: &MemberId| rules.members.get(member).map(|member| member.key);
    let mut described = Described::new();
    for envelope in envelopes {
        let Ok(description) = description::open(envelope, key_of) else {
            continue;
        };
        let known = described.get(&description.member);
        let is_later = known.is_none_or(|(known, _)| known.issued < description.issued);
        if description.space == rules.space.id && is_later {
            described.insert(description.member.clone(), (description, envelope.as_slice()));
        }
    }
    described
}

/// Where each node is and what it offers, in the order of their names.
fn peers(described: &Described<'_>, rules: &Rules) -> Vec<Offer> {
    let offer = |(description, _): &(Verified<NodeDescription>, &[u8])| {
        let peer = Peer {
            member: description.member.clone(),
            address: description.address.clone(),
            key: rules.members.get(&description.member)?.key,
        };
        let collections = description
            .datasets
            .iter()
            .map(|dataset| dataset.collection.clone())
            .collect();
        Some(Offer { peer, collections })
    };
    described.values().filter_map(offer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(key: &SigningKey) -> Rules {
        let members = format!(
            "[[member]]\nid = \"gbsg\"\ntitle = \"GBSG\"\nroles = [\"hospital\"]\nkey = \"{}\"\n",
            key.public()
        );
        let files = [
            ("space.toml", "id = \"oncology\"\ntitle = \"Oncology\"\n"),
            ("members.toml", members.as_str()),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Rules::compile_files(1, Digest::of(b""), &files.into()).unwrap()
    }

    fn described(space: &str, address: &str, issued: &str, key: &SigningKey) -> Vec<u8> {
        let description = NodeDescription {
            space: space.parse().unwrap(),
            member: "gbsg".parse().unwrap(),
            address: address.to_owned(),
            datasets: Vec::new(),
            issued: issued.parse().unwrap(),
        };
        description::seal(&description, key).unwrap()
    }

    #[test]
    fn a_node_that_a_broker_shows_twice_or_as_it_was_is_asked_once_and_where_it_is() {
        let key = SigningKey::generate().unwrap();
        let rules = rules(&key);
        let old = described("oncology", "127.0.0.1:1", "2026-11-20T12:00:00Z", &key);
        let new = described("oncology", "127.0.0.1:2", "2026-11-21T12:00:00Z", &key);
        for shown in [
            vec![new.clone(), new.clone()],
            vec![old.clone(), new.clone()],
            vec![new.clone(), old.clone()],
        ] {
            let offers = peers(&latest(&shown, &rules), &rules);
            let addresses: Vec<&str> = offers.iter().map(|offer| offer.peer.address.as_str()).collect();
            assert_eq!(addresses, ["127.0.0.1:2"]);
        }
    }

    #[test]
    fn a_description_of_another_space_or_key_is_no_node() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let rules = rules(&key);
        let foreign = described("cardiology", "127.0.0.1:1", "2026-11-21T12:00:00Z", &key);
        let forged = described("oncology", "127.0.0.1:1", "2026-11-21T12:00:00Z", &other);
        assert!(latest(&[foreign, forged, b"{}".to_vec()], &rules).is_empty());
    }
}
