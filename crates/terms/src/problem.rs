//! Everything that can go wrong, once: a stable code, whom it concerns, what it means, what to do next.
//!
//! `docs/PROBLEMS.md` is rendered from this table. A [`Report`] is one occurrence: the code, a sentence for
//! this case, and the remedy. A report never carries a value from a dataset, a secret or a server's path.

use std::fmt;

/// Who can act on a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Runs a node, a broker or a sandbox.
    Operator,
    /// Asks questions.
    DataUser,
    /// Signs policies.
    Board,
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Audience::Operator => "node operator",
            Audience::DataUser => "data user",
            Audience::Board => "board",
        })
    }
}

/// What the command line returns to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It worked.
    Ok = 0,
    /// It failed for a reason of its own.
    Failed = 1,
    /// The command or a file given to it is not right.
    Usage = 2,
    /// Some nodes answered, others did not.
    Partial = 3,
    /// A policy refused.
    Refused = 4,
    /// Nobody could be reached.
    Unreachable = 5,
    /// A signature, a chain or a digest did not hold.
    Verification = 6,
}

/// One occurrence of a problem, as a person is told it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{message} [{problem}]")]
pub struct Report {
    /// The stable code.
    pub problem: Problem,
    /// What happened, in one sentence, without data values.
    pub message: String,
    /// What to do next.
    pub remedy: String,
}

impl Report {
    /// Replaces the table's next step by one for this case.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

macro_rules! problems {
    ($($name:ident = $code:literal, $audience:ident, $exit:ident, $summary:literal, $next:literal;)*) => {
        /// A kind of problem. The code of a kind never changes; new kinds get new codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Problem {
            $(#[doc = $summary] #[serde(rename = $code)] $name,)*
        }

        impl Problem {
            /// All kinds, in the order of the table.
            pub const ALL: &'static [Problem] = &[$(Problem::$name,)*];

            /// The stable code, such as `E_COLUMN`.
            pub fn code(self) -> &'static str {
                match self { $(Problem::$name => $code,)* }
            }

            /// Who can act on it.
            pub fn audience(self) -> Audience {
                match self { $(Problem::$name => Audience::$audience,)* }
            }

            /// What a command that ends with it returns.
            pub fn exit_code(self) -> ExitCode {
                match self { $(Problem::$name => ExitCode::$exit,)* }
            }

            /// What it means.
            pub fn summary(self) -> &'static str {
                match self { $(Problem::$name => $summary,)* }
            }

            /// What to do next, where the case has nothing better to say.
            pub fn next_step(self) -> &'static str {
                match self { $(Problem::$name => $next,)* }
            }
        }
    };
}

problems! {
    // Files that people write.
    FileSyntax = "E_FILE_SYNTAX", Operator, Usage, "A file is not TOML.", "Mend the line that the message names.";
    FileKey = "E_FILE_KEY", Operator, Usage, "A file has an unknown, repeated or missing key.", "Mend the key that the message names.";
    FileValue = "E_FILE_VALUE", Operator, Usage, "A file has a value of the wrong type or outside what is allowed.", "Mend the value that the message names.";
    FileMissing = "E_FILE_MISSING", Operator, Usage, "A file that is named does not exist or cannot be read.", "Check the path and its permissions.";
    Usage = "E_USAGE", Operator, Usage, "The command lacks something, or is given something that it does not take.", "See the command's --help.";

    // Data that is published.
    DataFormat = "E_DATA_FORMAT", Operator, Failed, "A value in a data file does not fit the collection. Nothing was published.", "Mend the cell that the message names, or ask the board to widen the collection.";
    DataSchema = "E_DATA_SCHEMA", Operator, Failed, "A data file lacks a column that the collection needs, or cannot be read. Nothing was published.", "Check that the file is CSV (UTF-8, with a header) or Parquet, and compare its columns with the collection's.";
    DataShift = "E_DATA_SHIFT", Operator, Failed, "The days of people would be moved by other numbers than in the version before: whoever saw both would know more of the true days. Nothing was published.", "Put back the secret of before, and max as it was; if the secret is lost, and the board has been asked, add the file with --other-shifts.";
    DataChanged = "E_DATA_CHANGED", Operator, Failed, "The checked copy of a data set is not the one that was published. It is not answered from.", "Renew it from its source (datenraum node dataset refresh), and find out who writes in the node's folder.";
    DataBusy = "E_DATA_BUSY", Operator, Failed, "Another command adds to or renews the same dataset.", "Try again when it has ended.";
    Margins = "E_MARGINS", Operator, Usage, "A file of margins is no released answer by which a table of made-up people can be distributed.", "Save the answer to SELECT column, count(*) … GROUP BY column, with --format json, csv, arrow or parquet; one or two columns that the collection declares values, bins or periods of.";
    SourceUnreachable = "E_SOURCE_UNREACHABLE", Operator, Unreachable, "A database or store from which a dataset is read does not answer, or not encrypted as it should. What was there before is still answered from.", "Check the address in the description of the source, and that it runs; then try again.";
    SourceDenied = "E_SOURCE_DENIED", Operator, Failed, "A database or store from which a dataset is read does not let the user in, or not at what is to be read.", "Check user and secret in the description of the source, and what the user may read.";
    SourceMissing = "E_SOURCE_MISSING", Operator, Failed, "A database or store does not have what the description of the source names.", "Compare the names in the description with what is there.";
    SourceBroken = "E_SOURCE_BROKEN", Operator, Failed, "A database or store broke off while a dataset was read, or what is read was changed meanwhile. Nothing was published.", "Try again; what was there before is still answered from.";

    FhirView = "E_FHIR_VIEW", Operator, Usage, "A view on FHIR resources is not right, or asks for something that is not supported.", "Mend the part of the view that the message names; docs/fhir.md says what is supported.";
    FhirResource = "E_FHIR_RESOURCE", Operator, Failed, "A FHIR resource cannot be read as the view asks. It was left out; all others were read.", "Mend the resource that the message names where it comes from, or the view.";
    FhirFile = "E_FHIR_FILE", Operator, Failed, "A file of FHIR resources cannot be read to its end.", "Make the file anew; check that it was copied whole.";

    // Sandboxes and processes.
    PortTaken = "E_PORT_TAKEN", Operator, Failed, "Another program listens on the port.", "Choose another port, or 0 for any free one.";
    FolderNotEmpty = "E_FOLDER_NOT_EMPTY", Operator, Usage, "A folder that must be new has files in it.", "Name a new folder, or remove the old one.";
    SandboxUp = "E_SANDBOX_UP", Operator, Failed, "The sandbox is up already.", "Use it, or take it down first: datenraum sandbox down DIR.";
    SandboxDown = "E_SANDBOX_DOWN", Operator, Unreachable, "No sandbox is up in the folder.", "Put one up: datenraum sandbox up SPEC.toml --dir DIR.";

    // Signed governance documents.
    PolicyThreshold = "E_POLICY_THRESHOLD", Board, Verification, "A governance document has too few valid signatures of distinct keys.", "Have more board members sign it.";
    PolicyRollback = "E_POLICY_ROLLBACK", Board, Verification, "A governance document is older than one that is trusted already.", "Publish a higher version; ask the broker why it served an old one.";
    PolicyEquivocation = "E_POLICY_EQUIVOCATION", Board, Verification, "Two different documents carry the same version.", "Find out who signed twice; publish a higher version.";
    PolicyExpired = "E_POLICY_EXPIRED", Board, Verification, "A governance document has expired.", "Publish a renewed one; check that the broker is reachable.";
    PolicySignature = "E_POLICY_SIGNATURE", Board, Verification, "A governance document does not match its signature, digest or length.", "Fetch it again; if it stays so, somebody changed it on the way.";
    PolicyScope = "E_POLICY_SCOPE", Board, Verification, "A governance document belongs to another data space or role.", "Publish the document to the space that it names.";
    PolicyInvalid = "E_POLICY_INVALID", Board, Verification, "A governance document says something that cannot be enforced.", "Mend the line that the message names; what was signed before must be signed and published again.";
    PolicyNone = "E_POLICY_NONE", Operator, Verification, "There is no verified set of governance documents to work under.", "Check the broker's address and the pinned root, then start again.";
    Cases = "E_CASES", Board, Failed, "A policy does not decide as its cases say, or its matrix is not the one that it has.", "Change the policy or its cases, then write the matrix anew: datenraum board matrix --write.";
    KeyPassphrase = "E_KEY_PASSPHRASE", Board, Usage, "A key file is encrypted, and the passphrase is missing or not the right one.", "Type the passphrase of this key file, or name a file that holds it with --passphrase-file; if it is lost, make a new key and have the board replace the old one.";
    Changed = "E_CHANGED", Board, Verification, "A file is not the one that was shown before signing.", "Look at the difference again, then sign what you have seen.";

    // Identity.
    TokenMalformed = "E_TOKEN_MALFORMED", DataUser, Verification, "A credential or proof is missing or not of the expected form.", "Ask your institution for a new credential.";
    TokenSignature = "E_TOKEN_SIGNATURE", DataUser, Verification, "A credential or proof has no valid signature of the key that it needs.", "Ask your institution for a new credential.";
    TokenIssuer = "E_TOKEN_ISSUER", DataUser, Verification, "A credential comes from an institution that is not a member of the data space.", "Ask the board to admit your institution.";
    TokenAudience = "E_TOKEN_AUDIENCE", DataUser, Verification, "A credential or proof is meant for another data space or node.", "Use the credential of this data space.";
    TokenExpired = "E_TOKEN_EXPIRED", DataUser, Verification, "A credential or proof is not valid at this time.", "Ask your institution for a new credential; check the machine's clock.";
    ProofMismatch = "E_PROOF_MISMATCH", DataUser, Verification, "A proof was made for another query, purpose, permit or connection.", "Send the query again; a proof serves one query on one connection.";
    ProofReplayed = "E_PROOF_REPLAYED", DataUser, Verification, "A proof was used before.", "Send the query again with a new proof.";
    PeerKey = "E_PEER_KEY", DataUser, Verification, "The other end of a connection does not hold the key that the roster names for it.", "Do not go on; ask the institution whether its key was changed.";

    // What the policy decides.
    NoPermission = "E_NO_PERMISSION", DataUser, Refused, "No permission of any policy covers the request.", "Ask for what the message says is allowed.";
    Prohibited = "E_PROHIBITED", DataUser, Refused, "A prohibition covers the request.", "No permission can lift a prohibition; choose another purpose if it is really another.";
    PermitRequired = "E_PERMIT_REQUIRED", DataUser, Refused, "The permission needs a data permit and the request names none.", "Apply for a permit and name it with --permit.";
    PermitUnknown = "E_PERMIT_UNKNOWN", DataUser, Refused, "The permit that the request names is not known in the data space.", "Check the permit's id.";
    PermitInvalid = "E_PERMIT_INVALID", DataUser, Refused, "The permit that the request names does not cover it, has expired or was withdrawn.", "Ask within the permit, or ask its issuer to change it.";
    Reserved = "E_RESERVED", DataUser, Refused, "The purpose is reserved to public bodies and those acting for them (EHDS Art. 53(2)).", "Name the purpose that it really is; or ask the board to put on the roster for which public body you act.";
    Quota = "E_QUOTA", DataUser, Refused, "The quota of queries of the permission or of the data permit is used up.", "Wait, and ask for several statistics in one query.";
    LockedOut = "E_LOCKED_OUT", DataUser, Refused, "So many queries of the person were refused that nothing more of theirs is read for a while.", "Wait until the time that the message names; meanwhile datenraum query --dry-run still tells what your documents allow.";
    Stopped = "E_STOPPED", DataUser, Refused, "A board member has stopped the policy, permit, member or person.", "Ask the board of the data space; only the board together lifts a stop.";
    Revoked = "E_REVOKED", DataUser, Refused, "Access was revoked while the answer was on its way.", "Discard what arrived; ask the board of the data space.";

    // What a query may be.
    SqlSyntax = "E_SQL_SYNTAX", DataUser, Usage, "The SQL text cannot be parsed.", "Mend the SQL. In the name of a collection, hyphens become underscores: breast_cancer.";
    SqlLimit = "E_SQL_LIMIT", DataUser, Refused, "The SQL text is longer or deeper than is accepted.", "Ask in smaller parts.";
    SqlNotAllowed = "E_SQL_NOT_ALLOWED", DataUser, Refused, "The query uses something that a node does not run.", "Use count, sum, avg, variances, quantiles, FILTER, WHERE and GROUP BY over one collection.";
    SqlCollection = "E_SQL_COLLECTION", DataUser, Usage, "The query names something that is not a collection that you may query.", "Use one of those that the message lists.";
    SqlColumn = "E_SQL_COLUMN", DataUser, Usage, "The query names a column that the collection does not have.", "Use one of those that the message lists.";
    SqlRole = "E_SQL_ROLE", DataUser, Refused, "The query uses a column for what it has no role for.", "Use the column as the message says.";
    SqlDomain = "E_SQL_DOMAIN", DataUser, Refused, "The query filters or groups outside a column's declared bins or values.", "Use declared edges or values; a value of a text column stands in single quotes, also if it is a digit: grade = '3'.";
    OwnFile = "E_OWN_FILE", DataUser, Usage, "A file of your own that the question joins with cannot be read as a table.", "Save it as CSV (UTF-8, with a header) or as Parquet.";
    Chart = "E_CHART", DataUser, Usage, "An answer cannot be drawn as the chart that was asked for.", "Group by one or two columns and select at least one number; name a file that ends in .svg or .png.";

    // Running and releasing.
    Resources = "E_RESOURCES", DataUser, Failed, "More is asked at the same time, or by more people, than is accepted.", "Ask again later.";
    Execution = "E_EXECUTION", DataUser, Failed, "The node could not finish the query. The reason stays in its local log, because it could quote data.", "Ask for fewer groups; if that does not help, give the query id to the node's operator.";
    RequestId = "E_REQUEST_ID", DataUser, Usage, "A request id is not of the expected form, was used for another request, or its outcome cannot be told again.", "Ask again under a new request id.";
    AuditUnavailable = "E_AUDIT_UNAVAILABLE", Operator, Failed, "The ledger cannot record, so nothing is answered.", "Check the disk of the node, then start it again.";
    AuditBroken = "E_AUDIT_BROKEN", Operator, Verification, "The audit does not verify.", "Keep the file as evidence, stop the node, compare with an older checkpoint.";

    // Asking many.
    NoNode = "E_NO_NODE", DataUser, Unreachable, "No node offers the collection.", "Ask the operators of the nodes what they offer; for a sandbox, see datenraum sandbox status DIR.";
    Mixed = "E_MIXED", DataUser, Refused, "Some of the data that the question is about are of real people and some are made up.", "Ask about one kind: name the nodes with WHERE node = '…'; datenraum catalog show says which data are synthetic.";
    ModelFormula = "E_MODEL_FORMULA", DataUser, Usage, "The formula cannot be read, or uses a column as it cannot be used.", "Change the formula where the mark stands; docs/models.md says what can stand in one.";
    ModelData = "E_MODEL_DATA", DataUser, Failed, "The rows do not suffice for this model.", "Take fewer terms or more rows, as the message says.";
    ModelSingular = "E_MODEL_SINGULAR", DataUser, Failed, "Some terms of the model say the same, so that it has no single solution.", "Leave out the terms that the message names.";
    ModelSeparation = "E_MODEL_SEPARATION", DataUser, Failed, "Some terms tell the two outcomes apart without error, so that the model has no finite solution.", "Leave out the terms that the message names, or join their levels.";
    ModelSteps = "E_MODEL_STEPS", DataUser, Failed, "The model did not come to its solution in the steps that it may take.", "Take fewer terms, or ask for more steps if the policy allows them.";
    ModelDisclosure = "E_MODEL_DISCLOSURE", DataUser, Refused, "What the node would send for this model could tell of single people.", "Change the model as the message says.";
    ModelProtocol = "E_MODEL_PROTOCOL", DataUser, Verification, "A message of a fit was not what it has to be.", "Ask again. If it stays so, the versions of the programs differ, or somebody changes messages.";
    Unreachable = "E_UNREACHABLE", DataUser, Unreachable, "A node or the broker does not answer.", "Try again; if it stays so, ask its operator. For a sandbox, see datenraum sandbox status DIR.";
    Late = "E_LATE", DataUser, Unreachable, "A node did not answer within the time that the question gives it. It was told to stop.", "Give it more time with --timeout SECONDS (timeout_seconds in the gateway), or ask for less; if it stays so, ask its operator.";
    Answer = "E_ANSWER", DataUser, Failed, "A node's answer does not have the form that was asked for, or its receipt does not verify. It was left out.", "Report it to the node's operator.";
    Unfinished = "E_UNFINISHED", DataUser, Failed, "The released results could not be combined as the query asks.", "Simplify what the query does with the released results.";
    Partial = "E_PARTIAL", DataUser, Partial, "Some nodes did not answer, and the connection does not allow an answer without them.", "Do what the message says for each of them; or allow an answer of at least N nodes with the option minimum_nodes.";

    // Statistics.
    Withheld = "E_WITHHELD", DataUser, Refused, "A statistic needs a number that nodes did not release, and nothing is made up for it.", "Use fewer or wider groups.";
    Statistic = "E_STATISTIC", DataUser, Failed, "The numbers that were released do not make the statistic: too few, all the same, or of another form.", "Change what the message names.";
    // Masked sums.
    SumNodes = "E_SUM_NODES", DataUser, Failed, "Fewer nodes than a masked sum needs took part to its end. No sum was opened.", "Ask again when more nodes answer; who is missing, the message says.";
    SumBroken = "E_SUM_BROKEN", DataUser, Verification, "A message of a masked sum does not verify, or nodes were shown different things. The sum was given up.", "Ask again; if it stays so, tell the operator of the node that the message names.";
    SumBound = "E_SUM_BOUND", DataUser, Failed, "A number to be added lies outside the bounds that the masked sum was planned for.", "Ask for less, or in other units; if it stays so, tell the node's operator.";

    // The gateway.
    GatewayToken = "E_GATEWAY_TOKEN", DataUser, Usage, "The gateway's token is missing or not the right one.", "Give the text of the token file that datenraum gateway run names, as bearer token or as password.";
    Ticket = "E_TICKET", DataUser, Usage, "A ticket or a prepared statement is not one of this connection, or it is used, closed or expired.", "Ask the question again on this connection.";
    Parameters = "E_PARAMETERS", DataUser, Usage, "The values given for a question's parameters are not those that it needs.", "Give one value for each ? or $1, $2 of the question.";
    Option = "E_OPTION", DataUser, Usage, "An option of a connection is not known, or has a value that it cannot have.", "Use purpose, permit, minimum_nodes and timeout_seconds, as docs/data-users.md says.";

    Internal = "E_INTERNAL", Operator, Failed, "Something that should not happen did.", "Report it with the query id.";
}

impl Problem {
    /// One occurrence of this problem, with the table's next step as its remedy.
    pub fn report(self, message: impl Into<String>) -> Report {
        Report {
            problem: self,
            message: message.into(),
            remedy: self.next_step().to_owned(),
        }
    }

    /// The problem with this code.
    pub fn from_code(code: &str) -> Option<Problem> {
        Problem::ALL.iter().copied().find(|p| p.code() == code)
    }

    /// The whole table as a Markdown page.
    pub fn page() -> String {
        let mut page = String::from(
            "# Problems\n\nEvery problem has a stable code. Scripts may rely on codes and exit codes, not on sentences.\n\n\
             | code | for | exit | what it means | what to do next |\n|---|---|---|---|---|\n",
        );
        for p in Problem::ALL {
            let row = (p.code(), p.audience(), p.exit_code() as u8, p.summary(), p.next_step());
            page.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                row.0, row.1, row.2, row.3, row.4
            ));
        }
        page
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_found_again() {
        for p in Problem::ALL {
            assert_eq!(Problem::from_code(p.code()), Some(*p));
            assert!(p.code().starts_with("E_") && !p.next_step().is_empty());
        }
    }

    #[test]
    fn the_page_in_docs_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROBLEMS.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, Problem::page()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert!(
            page == Problem::page(),
            "docs/PROBLEMS.md is stale: run UPDATE_DOCS=1 cargo test -p terms"
        );
    }
}
