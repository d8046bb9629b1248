// Makes this process trust one more certificate authority, beside those it trusts already: media clients open HTTPS
// connections of their own, without asking which authority to trust, and the sandbox's is made at its first start.
import tls from 'node:tls'
import { readFileSync } from 'node:fs'

/** Trusts the authority whose certificate (PEM) is in `file`. */
export function trust(file) {
    const authority = readFileSync(file)
    const make = tls.createSecureContext
    tls.createSecureContext = options => {
        const made = make(options)
        made.context.addCACert(authority)
        return made
    }
}
