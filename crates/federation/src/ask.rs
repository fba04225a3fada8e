//! The story of one question: documents, catalogue, split, fan out, pool, finish, coverage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::read::Collections;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use policy::{Caller, Queryable, Rules};
use terms::{Clock, CollectionId, MemberId, PermitId, Problem, Purpose, Report, limit};
use tokio::sync::Mutex;
use trust::{Credential, SigningKey, SpaceStore};
use wire::status::{Ended, plain};
use wire::{BrokerSource, Connection};

use crate::answer::{Answer, AppliedPolicy, Coverage, Status};
use crate::catalog::{self, Offer};
use crate::combine::{self, PooledTable};
use crate::finish;
use crate::local::Tables;
use crate::node::{Errand, NodeAnswer, Part, Peer};
use crate::parameters::Parameters;
use crate::profile::Profile;
use crate::receipts;
use crate::split::{self, Description, Leaf, Split};

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
    known: split::Known,
    clock: Arc<dyn Clock>,
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
    /// Tables of the asker's own, which no node sees.
    pub tables: Tables,
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
        let asking = Errand {
            space: profile.space.clone(),
            key: Arc::clone(&key),
            credential: credential.clone(),
            purpose: None,
            permit: None,
        };
        let peers = catalog::offers(&broker, &profile, &asking, &rules, clock.now()).await?;
        let connections = Mutex::default();
        Ok(Self {
            profile,
            key,
            credential,
            caller,
            rules,
            peers,
            connections,
            known: split::Known::default(),
            clock,
        })
    }

    /// The same person with the documents, catalogue and credential of now. Connections to nodes that are where they were
    /// stay open.
    ///
    /// # Errors
    /// As [`Asker::open`].
    pub async fn renewed(&self) -> Result<Self, Report> {
        let renewed = Self::open(self.profile.clone(), Arc::clone(&self.clock)).await?;
        let before: BTreeMap<_, _> = self
            .peers
            .iter()
            .map(|offer| (&offer.peer.member, &offer.peer))
            .collect();
        let mut open = self.connections.lock().await.clone();
        for Offer { peer, .. } in &renewed.peers {
            if before.get(&peer.member) != Some(&peer) {
                open.remove(&peer.member);
            }
        }
        *renewed.connections.lock().await = open;
        Ok(renewed)
    }

    /// The rules as the asker holds them.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The nodes that are known to offer something.
    pub(crate) fn offers(&self) -> &[Offer] {
        &self.peers
    }

    /// What the asker may query at the moment.
    pub(crate) fn queryable(&self) -> Vec<Queryable> {
        policy::queryable(&self.rules, &self.caller, self.clock.now())
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
        let split = self.split(question, &Parameters::default()).await?;
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
        self.ask_with(question, &Parameters::default()).await
    }

    /// The same with values in place of the question's parameters.
    ///
    /// # Errors
    /// As [`Asker::ask`], and if the values are not those that the question needs.
    pub async fn ask_with(&self, question: &Question, parameters: &Parameters) -> Result<Answer, Report> {
        let split = self.split(question, parameters).await?;
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
                receipts: None,
            });
        }
        let released = asked.iter().filter_map(|asked| asked.outcome.as_ref().ok());
        let envelopes: Vec<_> = released
            .flat_map(BTreeMap::values)
            .map(|answer| &answer.envelope)
            .collect();
        let receipts = receipts::keep(&self.profile.data, &query_id, &envelopes);
        let tables = pool(&split, &asked)?;
        for node in &mut coverage {
            for withheld in tables.iter().filter_map(|table| table.withheld.get(&node.node)) {
                node.suppressed_cells += withheld.cells;
                for (reason, values) in &withheld.values {
                    *node.withheld.entry(*reason).or_default() += values;
                }
            }
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
            receipts: receipts.await,
        })
    }

    /// The columns that the answer to a question will have, and its parameters. Nothing is asked.
    ///
    /// # Errors
    /// If the question cannot be planned.
    pub async fn describe(&self, sql: &str) -> Result<Description, Report> {
        split::describe(sql, &self.rules.collections, &self.visible()).await
    }

    fn visible(&self) -> Collections {
        let queryable = self.queryable().into_iter();
        queryable.map(|q| (q.collection.id.clone(), q.collection)).collect()
    }

    async fn split(&self, question: &Question, parameters: &Parameters) -> Result<Split, Report> {
        let visible = self.visible();
        let split = self
            .known
            .split(
                &question.sql,
                parameters,
                &self.rules.collections,
                &visible,
                &question.tables,
            )
            .await?;
        let is_closed = |leaf: &&Leaf| {
            let joined = leaf.asked.joins().iter().map(|join| &join.collection);
            joined
                .chain([&leaf.collection.id])
                .any(|asked| !visible.contains_key(asked))
        };
        let closed = split.leaves.iter().find(is_closed);
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
        let request = |collection: &CollectionId, columns| policy::AccessRequest {
            caller: self.caller.clone(),
            purpose: question.purpose,
            permit: question.permit.clone(),
            collection: collection.clone(),
            release: leaf.asked.release(),
            columns,
            // Only nodes know how often.
            asked: policy::Asked::default(),
            at: self.clock.now(),
        };
        let joined = leaf.asked.joins().iter();
        let joined = joined.map(|join| request(&join.collection, leaf.asked.joined_columns(join)));
        let asked = request(&leaf.collection.id, leaf.asked.columns());
        policy::decide_joined(&self.rules, &asked, &joined.collect::<Vec<_>>())
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
        let outcome = match self.stopped(&offer.peer) {
            Some(report) => Err(report.into()),
            None => self.ask_parts(&offer.peer, &parts, errand).await,
        };
        Some(Asked {
            peer: &offer.peer,
            outcome,
        })
    }

    /// Why a node is not asked although it is known: nothing that it says counts, and that is told.
    fn stopped(&self, peer: &Peer) -> Option<Report> {
        let stopped = self.rules.stops.members.contains(&peer.member);
        let message = || format!("a member of the board has stopped the member {}", peer.member);
        stopped.then(|| Problem::Stopped.report(message()))
    }

    async fn ask_parts(
        &self,
        peer: &Peer,
        parts: &[(usize, &Leaf)],
        errand: &Errand,
    ) -> Result<BTreeMap<usize, NodeAnswer>, Ended> {
        let mut answers = BTreeMap::new();
        for (at, leaf) in parts {
            let request = trust::new_request_id()?;
            let part = Part {
                peer,
                errand,
                query: &leaf.asked,
                request: &request,
                collection: &leaf.collection,
            };
            answers.insert(*at, self.ask_part(part).await?);
        }
        Ok(answers)
    }

    /// Asks a node one part, and once more if the connection was lost: under the same name, so that the node answers it
    /// once and charges it once. Waits no longer than the limit in all.
    async fn ask_part(&self, part: Part<'_>) -> Result<NodeAnswer, Ended> {
        let asked = async {
            let connection = self.connection(part.peer).await?;
            match self.ask_on(&connection, part).await {
                Err(ended) if is_lost(&ended) => self.ask_on(&self.connection(part.peer).await?, part).await,
                outcome => outcome,
            }
        };
        let seconds = limit::NODE_ANSWER_SECONDS_MAX;
        let in_time = tokio::time::timeout(Duration::from_secs(seconds), asked).await;
        in_time.unwrap_or_else(|_| {
            let message = format!("{} did not answer within {seconds} s", part.peer.member);
            Err(Problem::Unreachable.report(message).into())
        })
    }

    /// Asks on a connection, which is not used again if it was lost.
    async fn ask_on(&self, connection: &Connection, part: Part<'_>) -> Result<NodeAnswer, Ended> {
        let outcome = part.ask(connection, self.clock.now()).await;
        if outcome.as_ref().is_err_and(is_lost) {
            self.connections.lock().await.remove(&part.peer.member);
        }
        outcome
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

/// Whether a connection broke, or was renewed between a proof and its query.
fn is_lost(ended: &Ended) -> bool {
    matches!(ended.report.problem, Problem::Unreachable | Problem::ProofMismatch)
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
            Some((asked.peer.member.clone(), &answer.told))
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
        withheld: BTreeMap::new(),
        policy: None,
        permit: None,
        duties: Vec::new(),
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
                    joined: receipt.joined.clone(),
                    min_people: receipt.min_people,
                    round_to: receipt.round_to,
                    kept_values: receipt.kept_values,
                });
                coverage.permit.clone_from(&receipt.permit);
                coverage.duties.extend(receipt.duties.iter().map(|duty| plain(duty)));
                coverage.receipts.push(answer.envelope.clone());
            }
            coverage.duties.sort();
            coverage.duties.dedup();
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
