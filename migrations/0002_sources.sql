-- Whether the source of a broadcast is to be pulled: it is set by start and taken back by stop, and a service that
-- starts again starts the source again.
ALTER TABLE broadcasts ADD COLUMN started INTEGER NOT NULL DEFAULT 0 CHECK (started IN (0, 1));
