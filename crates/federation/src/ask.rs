//! The story of one question: documents, catalogue, split, fan out, pool, finish, coverage.

pub mod dry_run;
pub(crate) mod origin;
mod reach;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine::Query;
use engine::read::Collections;
use policy::{Caller, Queryable, Rules};
use terms::{Clock, CollectionId, MemberId, PermitId, Problem, Purpose, Report};
use tokio::sync::Mutex;
use trust::{Credential, SigningKey, SpaceStore};
use wire::status::plain;
use wire::{BrokerSource, Connection, Person};

use crate::answer::{Answer, AppliedPolicy, Coverage, Status};
use crate::catalog::{self, Offer};
use crate::combine::{self, PooledTable};
use crate::fan_out::{Asked, Timeout, Watch};
use crate::finish;
use crate::local::Tables;
use crate::node::{Errand, Peer};
use crate::parameters::Parameters;
use crate::profile::Profile;
use crate::receipts;
use crate::road::Roads;
use crate::split::{self, Description, Leaf, Split};

/// A person who can ask a data space.
#[derive(Debug)]
pub struct Asker {
    profile: Profile,
    key: Arc<SigningKey>,
    credential: String,
    caller: Caller,
    pub(crate) rules: Rules,
    peers: Vec<Offer>,
    roads: Roads,
    pub(crate) connections: Mutex<BTreeMap<MemberId, Connection>>,
    known: split::Known,
    pub(crate) clock: Arc<dyn Clock>,
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
    /// How long nodes may take; if nothing is said, as long as they take at most.
    pub timeout: Option<Timeout>,
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
        let broker = profile.broker.connect("broker").await;
        let documents = match &broker {
            Ok(broker) => {
                let source = BrokerSource::new(broker.clone(), profile.space.clone());
                trust::refresh(&source, &store, clock.now()).await
            }
            Err(unreachable) => Err(unreachable.clone()),
        };
        // A broker that has less than it had, or none, is no better than one that is silent, and no worse: what was verified
        // holds until it expires.
        let documents = match documents {
            Err(report) => trust::last_good(&store, clock.now()).await.map_err(|_| report)?,
            Ok(offered) => offered,
        };
        let rules = Rules::compile(&documents)?;
        let issuer_key = |member: &MemberId| rules.members.get(member).map(|member| member.key);
        let verified = Credential::verify(&credential, &profile.space, issuer_key, clock.now())?;
        let caller = Caller {
            member: verified.member.clone(),
            person: verified.person.clone(),
            roles: verified.roles.clone(),
        };
        let person = Arc::new(Person {
            space: profile.space.clone(),
            key: Arc::clone(&key),
            credential: credential.clone(),
            clock: Arc::clone(&clock),
        });
        let roads = Roads::new(Arc::clone(&person), &profile.broker, broker.as_ref().ok());
        let peers = catalog::offers(&broker, &profile, &person, &rules).await?;
        let connections = Mutex::default();
        Ok(Self {
            profile,
            key,
            credential,
            caller,
            rules,
            peers,
            roads,
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
            // The broker ends what it carries with the credential under which it was asked to.
            let is_old = peer.relayed && renewed.credential != self.credential;
            if is_old || before.get(&peer.member) != Some(&peer) {
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
    pub fn queryable(&self) -> Vec<Queryable> {
        policy::queryable(&self.rules, &self.caller, self.clock.now())
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
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
        self.ask_watched(question, parameters, &|_, _| {}).await
    }

    /// The same; `watch` is told what happens at each node while others are waited for.
    ///
    /// # Errors
    /// As [`Asker::ask_with`].
    pub async fn ask_watched(
        &self,
        question: &Question,
        parameters: &Parameters,
        watch: Watch<'_>,
    ) -> Result<Answer, Report> {
        let (split, errand) = self.prepare(question, parameters).await?;
        let asked = self.ask_all(&split.leaves, &errand, question.timeout, watch).await;
        let mut coverage: Vec<Coverage> = asked.iter().map(coverage).collect();
        origin::require_one_kind(&coverage)?;
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
        let released = released.flat_map(BTreeMap::values).flatten();
        let envelopes: Vec<_> = released.map(|answer| &answer.envelope).collect();
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

    /// What nodes are asked, each part of at least one of them, and what accompanies it.
    async fn prepare(&self, question: &Question, parameters: &Parameters) -> Result<(Split, Errand), Report> {
        let split = self.split(question, parameters).await?;
        for leaf in &split.leaves {
            if self.concerned(leaf).next().is_none() {
                let message = format!("no node offers {} to you", leaf.collection.sql_name());
                return Err(Problem::NoNode.report(message));
            }
        }
        origin::require_one_kind_offered(&split.leaves, &self.peers)?;
        Ok((split, self.errand(question.purpose, question.permit.clone())))
    }

    /// What accompanies everything that nodes are asked for a purpose.
    pub(crate) fn errand(&self, purpose: Option<Purpose>, permit: Option<PermitId>) -> Errand {
        Errand {
            space: self.profile.space.clone(),
            key: Arc::clone(&self.key),
            credential: self.credential.clone(),
            purpose,
            permit,
        }
    }

    /// Where what is kept for the person is.
    pub(crate) fn data_folder(&self) -> &Path {
        &self.profile.data
    }

    pub(crate) fn visible(&self) -> Collections {
        let queryable = self.queryable().into_iter();
        queryable.map(|q| (q.collection.id.clone(), q.collection)).collect()
    }

    pub(crate) async fn split(&self, question: &Question, parameters: &Parameters) -> Result<Split, Report> {
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
        match closed.map(|leaf| self.decide(&leaf.asked, question)) {
            // No node would admit that it has the collection; the asker's own documents say why.
            Some(policy::Decision::Refuse(refusal)) => Err(refusal.into()),
            Some(policy::Decision::Allow(_)) | None => Ok(split),
        }
    }

    fn concerned<'a>(&'a self, leaf: &'a Leaf) -> impl Iterator<Item = &'a Offer> {
        self.peers.iter().filter(|offer| offer.is_asked(leaf))
    }

    /// What the documents that the asker holds say. Nodes decide for themselves.
    fn decide(&self, query: &Query, question: &Question) -> policy::Decision {
        let request = |collection: &CollectionId, columns| policy::AccessRequest {
            caller: self.caller.clone(),
            purpose: question.purpose,
            permit: question.permit.clone(),
            collection: collection.clone(),
            release: query.release(),
            columns,
            // Only nodes know how often.
            asked: policy::Asked::default(),
            at: self.clock.now(),
        };
        let joined = query.joins().iter();
        let joined = joined.map(|join| request(&join.collection, query.joined_columns(join)));
        let asked = request(query.collection(), query.columns());
        policy::decide_joined(&self.rules, &asked, &joined.collect::<Vec<_>>())
    }

    /// To multiples of what the numbers of an answer are rounded, by the documents that the asker holds. Nobody is asked.
    ///
    /// # Errors
    /// If the question cannot be planned.
    pub(crate) async fn rounded_to(&self, question: &Question) -> Result<Option<u32>, Report> {
        let split = self.split(question, &Parameters::default()).await?;
        let steps = split.leaves.iter().flat_map(Leaf::queries);
        let steps = steps.filter_map(|query| match self.decide(query, question) {
            policy::Decision::Allow(grant) => grant.disclosure().round_to,
            policy::Decision::Refuse(_) => None,
        });
        Ok(steps.max())
    }

    pub(crate) async fn connection(&self, peer: &Peer) -> Result<Connection, Report> {
        if let Some(open) = self.connections.lock().await.get(&peer.member) {
            return Ok(open.clone());
        }
        let opened = self.roads.connect(peer).await?;
        self.connections
            .lock()
            .await
            .insert(peer.member.clone(), opened.clone());
        Ok(opened)
    }
}

fn pool(split: &Split, asked: &[Asked<'_>]) -> Result<Vec<PooledTable>, Report> {
    let table = |(at, leaf): (usize, &Leaf)| {
        let answered = asked.iter().filter_map(|asked| {
            let answers = asked.outcome.as_ref().ok()?.get(&at)?;
            Some((&asked.peer.member, answers.split_first()?))
        });
        let answered: Vec<_> = answered.collect();
        let answers = answered.iter().map(|(node, (first, _))| ((*node).clone(), &first.told));
        let bins = (0..leaf.bins.len()).map(|at| answered.iter().map(|(_, (_, bins))| &bins[at].told).collect());
        combine::pool(leaf, &answers.collect::<Vec<_>>(), &bins.collect::<Vec<_>>())
    };
    split.leaves.iter().enumerate().map(table).collect()
}

fn coverage(asked: &Asked<'_>) -> Coverage {
    let mut coverage = Coverage::of(asked.peer.member.clone());
    match &asked.outcome {
        Ok(answers) => {
            let kept_values = answers.values().flatten().map(|answer| answer.receipt.kept_values);
            let kept_values = kept_values.sum();
            for answer in answers.values().flatten() {
                let receipt = &answer.receipt;
                coverage.query_id = Some(receipt.query_id.clone());
                coverage.policy = Some(AppliedPolicy {
                    id: receipt.policy.clone(),
                    version: receipt.policy_version,
                    rule: receipt.rule.clone(),
                    joined: receipt.joined.clone(),
                    min_people: receipt.min_people,
                    round_to: receipt.round_to,
                    kept_values,
                });
                coverage.data.extend(receipt.data.iter().cloned());
                coverage.permit.clone_from(&receipt.permit);
                coverage.duties.extend(receipt.duties.iter().map(|duty| plain(duty)));
                coverage.receipts.push(answer.envelope.clone());
            }
            coverage.duties.sort();
            coverage.duties.dedup();
            coverage.data.sort();
            coverage.data.dedup();
        }
        Err(ended) => return Coverage::without(asked.peer.member.clone(), ended),
    }
    coverage
}
