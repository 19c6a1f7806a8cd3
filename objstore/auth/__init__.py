"""Authentication: users and their keys, tokens, and the identity of clients, which `access` uses in its decisions.

- A *user* is `project:name`, with a key, groups, and perhaps a pair of S3 keys (`users`).
  Users are in a file that may change at any time, or in the configuration (`users_file`).
- A *login* is a user as the storage sees it: an `Identity`, and the accounts that it may administer.
- A *token* is a signed statement that its bearer logged in; no server stores it (`tokens`).
- A *prefix* (`AUTH_`) begins the names of the accounts that this system controls (`prefixes`).

`tempauth` is the filter that combines these, `login` handles log-in requests. Other systems (Keystone, LDAP)
are additional filters.

Promises: a key that was changed or removed is invalid from the next request on, and so are its tokens. No key is
written to a log. The package knows nothing of nodes, rings and disks.
"""
