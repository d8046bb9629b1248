// Files between the API and Baileys, unmodified: it opens what the API sent, and the API opens what it sent. Another
// client's encryption, hashes and media URLs, so that a mistake that we share with the sandbox would show.
import { createHash, randomBytes } from 'node:crypto'
import { downloadMediaMessage } from 'baileys'
import { withBaileys } from './companions/baileys.mjs'
import { check, ok, story, until } from './product.mjs'
import { trust } from './trust.mjs'

const LIMIT = 180_000
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
const sha256 = bytes => createHash('sha256').update(bytes).digest('hex')

await story('files', LIMIT, async start => {
    const product = await start()
    const account = await product.link()
    trust(product.ready.sandbox.ca_file)
    await withBaileys(product, async (bea, friend) => {
        await sent(product, bea, friend)
        await received(product, bea, account)
    })
})

/** What the API sends, opened by Baileys. */
async function sent(product, bea, friend) {
    const pdf = Buffer.concat([Buffer.from('%PDF-1.7\n'), randomBytes(700_001)])
    for (const [type, name, bytes, field] of [['image', 'dot.png', PNG, 'imageMessage'], ['document', 'bill 7.pdf', pdf, 'documentMessage']]) {
        const form = new FormData()
        form.append('recipient', friend)
        form.append('media_type', type)
        form.append('caption', `a ${type} for Bea`)
        form.append('file', new Blob([bytes]), name)
        const answer = await fetch(`${product.ready.api}/api/v1/messages/send-media/`,
            { method: 'POST', headers: { 'X-API-Key': product.ready.demo.api_key }, body: form })
        const { data, ...refusal } = await answer.json()
        check(answer.status === 202, `the API takes a ${type}`, refusal)
        const seen = await bea.messages.first(`Baileys to have the ${type}`, message => message.key.id === data.wa_message_id)
        const file = seen.message[field]
        check(file.caption === `a ${type} for Bea`, `Baileys shows the caption of the ${type}`, file.caption)
        if (type === 'document') check(file.fileName === name && file.mimetype === 'application/pdf', 'and its name and type', file.fileName)
        const opened = await downloadMediaMessage(seen, 'buffer', {})
        check(sha256(opened) === sha256(bytes), `Baileys opened the ${type}: ${bytes.length} bytes, each as it was`, opened.length)
        await product.reaches(data.id, 'delivered')
    }
}

/** What Baileys sends, opened by the API. */
async function received(product, bea, account) {
    const bytes = randomBytes(300_007)
    const jid = `${account.slice(1)}@s.whatsapp.net`
    const said = await bea.socket.sendMessage(jid, { document: bytes, mimetype: 'application/x-sealed', fileName: '../../from bea.bin' })
    bea.sent.set(said.key.id, said.message)
    const message = await until("the API to have Baileys' document", async () => {
        const { results } = await product.api('GET', '/messages/list/?direction=inbound&page_size=100')
        return results.find(entry => entry.wa_message_id === said.key.id)
    })
    check(message.message_type === 'document' && message.media.filename === 'from bea.bin', 'its name has lost its path', message.media)
    check(message.media.state === 'remote' && message.media.sha256 === sha256(bytes), 'the API knows its hash before it has it', message.media)
    const answer = await fetch(`${product.ready.api}${message.media.url}`, { headers: { 'X-API-Key': product.ready.demo.api_key } })
    const opened = Buffer.from(await answer.arrayBuffer())
    check(answer.status === 200 && sha256(opened) === sha256(bytes), 'the API opened what Baileys sent', answer.status)
    check((await product.message(message.id)).media.state === 'stored', 'and keeps it')
    ok('files went both ways')
}
