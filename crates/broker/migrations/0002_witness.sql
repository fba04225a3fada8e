-- What brokers of one data space saw of members' audits, together as one witness.

CREATE TABLE witnessed (
    space  text   NOT NULL,
    member text   NOT NULL,
    size   bigint NOT NULL,
    root   bytea  NOT NULL,
    -- the signed note
    note   text   NOT NULL,
    PRIMARY KEY (space, member)
);

COMMENT ON TABLE witnessed IS 'the longest audit of each member that was cosigned';

CREATE TABLE witness_evidence (
    space  text   NOT NULL,
    member text   NOT NULL,
    -- the signed note that was not cosigned, and the one that was before
    note   text   NOT NULL,
    known  text   NOT NULL,
    reason text   NOT NULL,
    -- seconds since 1970, UTC
    at     bigint NOT NULL,
    -- the first of each reason: one is enough, and strangers cannot fill the table
    PRIMARY KEY (space, member, reason)
);
