-- What brokers of one data space share. Every row is signed by others; whoever reads it verifies it.

CREATE TABLE space (
    id text PRIMARY KEY
);

COMMENT ON TABLE space IS 'the row is locked by the broker that signs or publishes';

CREATE TABLE document (
    space   text  NOT NULL REFERENCES space (id),
    path    text  NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (space, path)
);

CREATE TABLE description (
    space    text   NOT NULL,
    member   text   NOT NULL,
    envelope bytea  NOT NULL,
    -- nanoseconds since 1970, UTC
    issued   bigint NOT NULL,
    PRIMARY KEY (space, member)
);
