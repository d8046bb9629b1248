// Baileys as a companion device, wrapped in the few words that the stories need. Nothing of it is changed.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DisconnectReason, makeWASocket, useMultiFileAuthState } from 'baileys'
import pino from 'pino'
import { expected, Seen } from '../product.mjs'

// Its Signal library prints whole sessions there, keys and all.
console.info = () => {}
console.warn = () => {}
const textOf = message => message?.conversation ?? message?.extendedTextMessage?.text

/** One Baileys client; its credentials live in a folder, as in a real bot. */
export class Companion {
    constructor(product, folder, { tls }) {
        this.product = product
        this.folder = folder
        this.tls = tls
        this.texts = new Seen()
        this.messages = new Seen()
        this.receipts = new Seen()
        this.qr = expected('a QR code from Baileys')
        this.sent = new Map()
    }

    /** Connects, follows the restart that WhatsApp asks for after pairing, and waits until the link is open. */
    async connect() {
        this.open = expected('Baileys to be connected')
        this.caughtUp = expected('Baileys to have its backlog')
        await this.#dial()
        return this
    }

    /** Connects for the first time: the phone scans the code. */
    async link(phone) {
        const connected = this.connect()
        await this.product.scan(await this.qr.promise, phone)
        await connected
        await this.open.promise
        return this
    }

    async #dial() {
        const { state, saveCreds } = await useMultiFileAuthState(this.folder)
        const { ws, wss, ca_file: authority } = this.product.ready.sandbox
        this.socket = makeWASocket({
            auth: state,
            waWebSocketUrl: this.tls ? wss : ws,
            agent: this.tls ? new Agent({ ca: readFileSync(authority) }) : undefined,
            fetchAgent: new Agent({ ca: readFileSync(authority) }),
            browser: ['Interop', 'Chrome', '1.0'],
            logger: pino({ level: process.env.INTEROP_LOG ?? 'silent' }),
            getMessage: async key => this.sent.get(key.id)
        })
        this.socket.ev.on('creds.update', () => { this.saved = saveCreds() })
        this.socket.ev.on('connection.update', update => this.#connection(update))
        this.socket.ev.on('messages.upsert', ({ messages }) => {
            for (const message of messages) {
                this.messages.add(message)
                const text = textOf(message.message)
                if (text) this.texts.add({ text, key: message.key })
            }
        })
        this.socket.ev.on('messages.update', updates => updates.forEach(update => this.receipts.add(update)))
    }

    #connection({ qr, connection, lastDisconnect, receivedPendingNotifications }) {
        if (qr) this.qr.resolve(qr)
        if (connection === 'open') this.open.resolve()
        if (receivedPendingNotifications) this.caughtUp.resolve()
        const code = lastDisconnect?.error?.output?.statusCode
        if (connection === 'close' && code === DisconnectReason.restartRequired) this.#dial()
        else if (connection === 'close' && !this.leaving) this.open.resolve(Promise.reject(lastDisconnect?.error))
    }

    /** The text as Baileys shows it, decrypted. */
    sees(text) { return this.texts.first(`Baileys to decrypt ${JSON.stringify(text)}`, seen => seen.text === text) }

    async say(jid, text) {
        const message = await this.socket.sendMessage(jid, { text })
        this.sent.set(message.key.id, message.message)
        return message
    }

    /** Ends the connection, keeps the credentials. */
    async leave() {
        this.leaving = true
        await this.saved
        await this.socket.end(undefined)
    }
}

/** A new virtual phone with Baileys as its companion, whom others can write to, for as long as `act` takes. */
export async function withBaileys(product, act) {
    const folder = mkdtempSync(join(tmpdir(), 'sanasend-baileys-'))
    try {
        const friend = await product.phone('Bea')
        const bea = await new Companion(product, folder, { tls: true }).link(friend)
        await product.published(friend)
        await act(bea, friend)
        await bea.leave()
    } finally {
        rmSync(folder, { recursive: true, force: true })
    }
}
