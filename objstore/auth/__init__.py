"""Who may do what: users and their keys, tokens, and the decision over each request.

- A *user* is `project:name`, with a key, groups, and perhaps a pair of S3 keys (`users`).
  Users stand in a file that may change at any time, or in the configuration (`users_file`).
- A *login* is a user as the storage sees it: an `Identity`, and the storage account it works in.
- A *token* is a signed statement that its bearer logged in; no server keeps it (`tokens`).
- A *prefix* (`AUTH_`) begins the names of the accounts that this system decides over (`prefixes`).

`tempauth` is the filter that puts these together, `login` its own requests, `authorizer`
its decisions. Other systems (Keystone, LDAP) are further filters beside it.

Promises: a key that was changed or removed is good for nothing from the next request on, nor
are the tokens it gave out. No key is written to a log. Knows nothing of nodes, rings and disks.
"""
