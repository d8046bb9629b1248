// The product as a child process, its API, and the sandbox's control API: what every interop script stands on.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const START_LIMIT = 30_000
const STEP_LIMIT = 30_000

/** Prints one passed check. */
export const ok = text => console.log(`ok - ${text}`)

/** Throws with `text` unless `holds`; prints the check otherwise. */
export function check(holds, text, found) {
    if (!holds) throw new Error(`${text}${found === undefined ? '' : `, but found ${JSON.stringify(found)}`}`)
    ok(text)
}

/** Asks `probe` until it answers something true; the limit only bounds a failure. */
export async function until(what, probe, limit = STEP_LIMIT) {
    const deadline = Date.now() + limit
    let last
    while (Date.now() < deadline) {
        last = await probe()
        if (last) return last
        await new Promise(resolve => setTimeout(resolve, 25))
    }
    throw new Error(`waited ${limit} ms for: ${what}`)
}

/** A promise that `resolve` settles from outside, refused after `limit` ms with what was awaited. */
export function expected(what, limit = STEP_LIMIT) {
    let settle
    const promise = new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`waited ${limit} ms for: ${what}`)), limit)
        settle = value => { clearTimeout(timer); resolve(value) }
    })
    promise.catch(() => {})
    return { promise, resolve: settle }
}

/** What was seen so far, with waiting for the first that fits. */
export class Seen {
    #items = []
    #waiting = []

    add(item) {
        this.#items.push(item)
        this.#waiting = this.#waiting.filter(({ fits, resolve }) => !(fits(item) && (resolve(item), true)))
    }

    /** The first item, past or to come, for which `fits` holds. */
    first(what, fits) {
        const known = this.#items.find(fits)
        if (known) return Promise.resolve(known)
        const { promise, resolve } = expected(what)
        this.#waiting.push({ fits, resolve })
        return promise
    }

    count(fits) { return this.#items.filter(fits).length }
}

/** `sanasend serve --sandbox` on free ports in a folder of its own. */
export class Product {
    static async start({ env = {} } = {}) {
        const folder = mkdtempSync(join(tmpdir(), 'sanasend-interop-'))
        const program = process.env.SANASEND ?? fileURLToPath(new URL('../target/debug/sanasend', import.meta.url))
        const free = '127.0.0.1:0'
        const child = spawn(program, ['serve', '--sandbox', '--json', '--data-dir', join(folder, 'data'), '--listen', free,
            '--sandbox-listen', free, '--sandbox-tls-listen', free], {
            stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }
        })
        const product = new Product(child, folder)
        product.ready = await product.#readyLine()
        return product
    }

    constructor(child, folder) {
        this.child = child
        this.folder = folder
        this.log = []
        createInterface({ input: child.stderr }).on('line', line => {
            this.log.push(line)
            if (this.log.length > 400) this.log.shift()
        })
        this.ended = new Promise(resolve => child.once('exit', (code, signal) => resolve(code ?? signal)))
    }

    async #readyLine() {
        const ready = expected('the ready line of the product', START_LIMIT)
        createInterface({ input: this.child.stdout }).on('line', line => {
            if (line.startsWith('{')) ready.resolve(JSON.parse(line))
        })
        this.ended.then(how => ready.resolve({ ended: how }))
        const line = await ready.promise
        if (line.ended !== undefined) throw new Error(`the product ended with ${line.ended} before it was ready`)
        return line
    }

    /** Asks the child to end, kills it (this one process) if it does not, and removes its folder. */
    async stop() {
        this.child.kill('SIGTERM')
        const killer = setTimeout(() => this.child.kill('SIGKILL'), 10_000)
        const how = await this.ended
        clearTimeout(killer)
        rmSync(this.folder, { recursive: true, force: true })
        return how
    }

    /** One call of the REST API with the demo user's key; answers `data`, throws on an error envelope. */
    async api(method, path, body, headers = {}) {
        const answer = await fetch(`${this.ready.api}/api/v1${path}`, {
            method,
            headers: { 'X-API-Key': this.ready.demo.api_key, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
            body: body === undefined ? undefined : JSON.stringify(body),
            signal: AbortSignal.timeout(STEP_LIMIT)
        })
        const envelope = await answer.json()
        if (!envelope.success) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(envelope)}`)
        return envelope.data
    }

    /** One call of the sandbox's control API. */
    async control(method, path, body) {
        const raw = typeof body === 'string'
        const answer = await fetch(`${this.ready.sandbox.admin}/admin${path}`, {
            method,
            headers: body === undefined || raw ? {} : { 'Content-Type': 'application/json' },
            body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
            signal: AbortSignal.timeout(STEP_LIMIT)
        })
        const text = await answer.text()
        if (!answer.ok) throw new Error(`${method} /admin${path}: ${answer.status} ${text}`)
        return text ? JSON.parse(text) : undefined
    }

    /** Lets a virtual phone scan a code. */
    scan(qr, phone) {
        return this.control('POST', `/mock-phone/scan-qr${phone ? `?phone=${encodeURIComponent(phone)}` : ''}`, qr)
    }

    /** A new virtual phone: its E.164 number. */
    async phone(name) { return (await this.control('POST', '/phones', { push_name: name })).phone }

    /** Waits until others can write to the phone's companions: their keys are on the network. */
    published(phone) {
        return until(`the companion of ${phone} to have its keys on the network`, async () => {
            const devices = await this.control('GET', this.phonePath(phone, '/devices'))
            return devices.length > 1 && devices.every(device => device.ready)
        })
    }

    phonePath(phone, rest) { return `/phones/${encodeURIComponent(phone)}${rest}` }

    /** Links the demo user's account to a new virtual phone and waits until it is connected. */
    async link() {
        const session = await this.api('POST', '/sessions/init/', {})
        const scanned = await this.scan(session.qr_code.text)
        await until('the session to be connected', async () => (await this.api('GET', '/sessions/status/')).status === 'connected')
        return scanned.phone
    }

    /** Sends a text; answers the message. */
    sendText(recipient, content) { return this.api('POST', '/messages/send-text/', { recipient, content }) }

    message(id) { return this.api('GET', `/messages/${id}/`) }

    /** Waits until the message has this status. */
    reaches(id, status) {
        return until(`message ${id} to be ${status}`, async () => {
            const message = await this.message(id)
            if (message.status === 'failed') throw new Error(`message failed: ${message.error_code} ${message.error_message}`)
            return message.status === status && message
        })
    }

    /** Waits for an incoming message with this text: first in the list, then in the event log. */
    async receives(text) {
        const message = await until(`the API to list ${JSON.stringify(text)}`, async () => {
            const { results } = await this.api('GET', '/messages/list/?direction=inbound&page_size=100')
            return results.find(entry => entry.content === text)
        })
        const told = (await this.events()).filter(event => event.type === 'message.received' && event.message === message.id)
        if (told.length !== 1) throw new Error(`the event log tells ${told.length} times of ${JSON.stringify(text)}`)
        return message
    }

    /** The event log from its beginning. */
    async events() { return (await this.api('GET', '/events/?after=0&limit=1000')).results }
}

/** Runs a script's story with a hard limit; always stops the product it started, prints its log on failure. */
export async function story(name, limit, tell) {
    const products = []
    const start = async options => {
        const product = await Product.start(options)
        products.push(product)
        return product
    }
    const hard = setTimeout(() => {
        console.error(`not ok - ${name}: still running after ${limit} ms`)
        for (const product of products) product.child.kill('SIGKILL')
        process.exit(1)
    }, limit)
    let failed = false
    try {
        await tell(start)
    } catch (error) {
        failed = true
        console.error(`not ok - ${name}: ${error.stack ?? error}`)
        for (const product of products) console.error(product.log.slice(-60).join('\n'))
    }
    await Promise.all(products.map(product => product.stop()))
    clearTimeout(hard)
    process.exit(failed ? 1 : 0)
}
