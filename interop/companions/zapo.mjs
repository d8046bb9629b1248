// zapo-js as a companion device, wrapped in the few words that the stories need. Nothing of it is changed.
import { WaClient, createStore } from 'zapo-js'
import { WebSocket } from 'ws'
import { Seen } from '../product.mjs'

globalThis.WebSocket = WebSocket // node 20 has none of its own
const textOf = message => message?.conversation ?? message?.extendedTextMessage?.text

/** Keeps what the client says of itself; the last lines are shown when something fails. */
class Journal {
    level = 'trace'
    lines = []

    #note(level, message, context) {
        this.lines.push(`${level} ${message} ${context ? JSON.stringify(context) : ''}`)
        if (process.env.INTEROP_LOG) console.error('zapo', this.lines.at(-1))
    }

    trace(message, context) { this.#note('trace', message, context) }
    debug(message, context) { this.#note('debug', message, context) }
    info(message, context) { this.#note('info', message, context) }
    warn(message, context) { this.#note('warn', message, context) }
    error(message, context) { this.#note('error', message, context) }

    says(part) { return this.lines.some(line => line.includes(part)) }
}

/** A store that outlives the client, as a database would. Credentials have no memory store of the library's own. */
export function newStore() {
    let credentials = null
    const auth = () => ({
        load: async () => credentials,
        save: async saved => { credentials = saved },
        clear: async () => { credentials = null }
    })
    return createStore({ backends: { process: { stores: { auth }, caches: {} } }, providers: { auth: 'process' } })
}

/** One zapo-js client over a store. */
export class Companion {
    constructor(product, store, root) {
        this.journal = new Journal()
        this.codes = new Seen()
        this.texts = new Seen()
        this.receipts = new Seen()
        this.logins = new Seen()
        this.resumed = new Seen()
        this.client = new WaClient({
            store,
            sessionId: 'interop',
            chatSocketUrls: [product.ready.sandbox.ws],
            connectTimeoutMs: 10_000,
            reconnectIntervalMs: 200,
            maxReconnectAttempts: 2,
            history: { enabled: true },
            testHooks: { noiseRootCa: { publicKey: root, serial: 0 } }
        }, this.journal)
        this.client.on('auth_qr', ({ qr }) => this.codes.add(qr))
        this.client.on('connection_success', () => this.logins.add(true))
        this.client.on('offline_resume', ({ status }) => this.resumed.add(status))
        this.client.on('message_receipt', receipt => this.receipts.add(receipt))
        this.client.on('message', event => {
            const text = textOf(event.message)
            if (text) this.texts.add({ text, event })
        })
    }

    connect() { return this.client.connect() }

    code() { return this.codes.first('a QR code from zapo-js', () => true) }

    loggedIn() { return this.logins.first('zapo-js to be logged in', () => true) }

    sees(text) { return this.texts.first(`zapo-js to decrypt ${JSON.stringify(text)}`, seen => seen.text === text) }

    /** What a person who opens the chat does. */
    read({ event }) { return this.client.sendReceipt({ to: event.chatJid, id: event.stanzaId, type: 'read' }) }

    say(jid, text) { return this.client.sendMessage(jid, text) }

    leave() { return this.client.disconnect() }
}
