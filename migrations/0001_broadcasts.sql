-- What is wanted: broadcasts and the endpoints each is to be sent to. What is (live, connected,
-- failed) is never stored.
CREATE TABLE broadcasts (
    app             TEXT    NOT NULL,
    stream_id       TEXT    NOT NULL,
    -- 1: somebody created it by REST. 0: a publisher made it, and it is kept only for its endpoints.
    created_by_user INTEGER NOT NULL CHECK (created_by_user IN (0, 1)),
    -- When the record was made, milliseconds since 1970-01-01 UTC.
    date_ms         INTEGER NOT NULL,
    -- The fields a client set, as one JSON object with Ant Media's names.
    fields          TEXT    NOT NULL DEFAULT '{}',
    PRIMARY KEY (app, stream_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints (
    app       TEXT    NOT NULL,
    stream_id TEXT    NOT NULL,
    -- endpointServiceId: unique within its stream.
    id        TEXT    NOT NULL,
    -- The exact text that was given, secrets included: it is what connects again after a restart.
    url       TEXT    NOT NULL,
    -- The order in which they were added.
    position  INTEGER NOT NULL,
    PRIMARY KEY (app, stream_id, id),
    FOREIGN KEY (app, stream_id) REFERENCES broadcasts (app, stream_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
