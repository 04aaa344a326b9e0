// Where we do not agree with a corpus, case by case and with the reason. What is not named here
// has to be served when the corpus calls it valid, and refused when it calls it invalid.

const fragment = 'RFC 9112 3.2: a fragment is never a part of the target'
const codings = 'RFC 9112 6.1: only chunked, once; another coding is 501'
const connect = 'RFC 9110 9.3.6: no tunnels, CONNECT is 405'
const otherProtocol = 'RFC 9112 2.3: another protocol than HTTP'
const folded = 'RFC 9112 5.2: obs-fold is refused, as a server may'
const emptyLine = 'RFC 9112 2.2: one empty line before a request is skipped, not more'
const userinfo = 'RFC 9110 4.2.4: userinfo in a target is treated as an error'

/** Valid for the corpus, refused by us. */
export const stricter: Readonly<Record<string, string>> = {
  'connection.md:158': emptyLine,
  'method.md:137': 'RFC 9112 3.2.4: only OPTIONS asks about *',
  'method.md:374': otherProtocol,
  'method.md:404': otherProtocol,
  'method.md:432': otherProtocol,
  'sample.md:316': 'RFC 9112 2.3: a version is asked for, HTTP/0.9 is not spoken',
  'transfer-encoding.md:753': fragment,
  'transfer-encoding.md:795': fragment,
  'uri.md:167': fragment,
  'uri.md:224': userinfo,
  'valid/005.http': fragment,
  'valid/009.http': fragment,
  'valid/013.http': 'blanks in a chunk extension: llhttp refuses them too',
  'valid/024.http': 'the head is longer than 16 KiB',
  'valid/025.http': codings,
  'valid/025_line.http': codings,
  'valid/027.http': 'RFC 9112 3.2: octets of a target are visible ASCII',
  'valid/028.http': 'RFC 9112 5.1: no blank before the colon',
  'valid/029.http': codings,
  'valid/030.http': codings,
  'valid/compat_obs_fold.http': folded,
  'valid/compat_obs_fold_huge.http': folded,
  'valid/rfc9112_smuggle_gzip_chunked_01.http': codings,
  'valid/rfc9112_smuggle_te_identity_chunked_01.http': codings,
  'valid/rfc9112_target_absolute_userinfo_01.http': userinfo,
  'valid/rfc9112_target_authority_connect_01.http': connect,
  'valid/rfc9112_target_authority_ipv6_01.http': connect,
}

const anyMethod = 'RFC 9110 9.1: a method is any token, not one of a list'
const ownLimit = 'a limit that the corpus sets for itself, below ours; well-formed'

/** Invalid for the corpus, well-formed for RFC 9112, and served by us. */
export const served: Readonly<Record<string, string>> = {
  'invalid.md:68': anyMethod,
  'invalid.md:358': anyMethod,
  'invalid/003c.http': anyMethod,
  'invalid/006.http': ownLimit,
  'invalid/007.http': ownLimit,
  'invalid/008.http': ownLimit,
  'invalid/010.http': ownLimit,
  'invalid/011.http': ownLimit,
  'invalid/012.http': ownLimit,
  'invalid/017.http': ownLimit,
  'invalid/019.http': 'X-Forwarded-* of a stranger are taken away, so they cannot contradict',
  'invalid/041.http': 'RFC 9110 5.3: two Content-Types are for the program to judge',
  'invalid/chunked_07.http': 'a field with an underscore is well-formed; this one is taken away',
}
