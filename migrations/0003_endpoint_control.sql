-- What is wanted of an endpoint beyond its address. The defaults are what an older file's endpoints were: switched on,
-- all tracks, tried again for ever by the service's rule.
ALTER TABLE endpoints ADD COLUMN label TEXT;
ALTER TABLE endpoints ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1));
-- all, audio or video.
ALTER TABLE endpoints ADD COLUMN tracks TEXT NOT NULL DEFAULT 'all';
-- Milliseconds, and failed attempts in a row; NULL: by the service's rule.
ALTER TABLE endpoints ADD COLUMN retry_min_ms INTEGER;
ALTER TABLE endpoints ADD COLUMN retry_max_ms INTEGER;
ALTER TABLE endpoints ADD COLUMN retry_limit INTEGER;
-- Counts the changes, from 1.
ALTER TABLE endpoints ADD COLUMN revision INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0);
