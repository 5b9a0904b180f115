-- Forgets every bundle trained here, so that each is trained anew.
delete from models;
