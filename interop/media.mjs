// Media of clients that others wrote: what Baileys and zapo-js send, a virtual phone opens byte by byte the same, and
// what a phone sends, they download over TLS; a file that has expired comes again from the companion's own phone.
import { createHash, randomBytes } from 'node:crypto'
import { downloadMediaMessage } from 'baileys'
import { WaMediaTransferClient } from 'zapo-js/media'
import { withBaileys } from './companions/baileys.mjs'
import { Companion as Zapo, newStore } from './companions/zapo.mjs'
import { check, ok, Seen, story, until } from './product.mjs'
import { trust } from './trust.mjs'

const LIMIT = 180_000
const sha256 = bytes => createHash('sha256').update(bytes).digest('hex')
const jid = phone => `${phone.slice(1)}@s.whatsapp.net`
/** Longer than the 64 KiB of a sidecar's window, and of an awkward length. */
const bytesOf = kind => Buffer.concat([Buffer.from(kind), randomBytes(150_001)])

await story('media', LIMIT, async start => {
    const product = await start()
    trust(product.ready.sandbox.ca_file)
    const carl = await product.phone('Carl')
    await withBaileys(product, async (bea, friend) => {
        await baileysSends(product, bea, carl)
        await baileysDownloads(product, bea, friend, carl)
    })
    await withZapo(product, carl)
})

/** Waits until the phone has opened a file with these bytes; checks them, and what is told of the file. */
async function opens(product, phone, id, kind, bytes, wanted = {}) {
    const seen = await until(`${phone} to open ${kind} ${id}`, async () => {
        const shown = await product.control('GET', product.phonePath(phone, '/messages'))
        const message = shown.find(entry => entry.id === id)
        if (message?.media?.state === 'failed') throw new Error(`${kind}: ${message.media.problem}`)
        return message?.media?.state === 'ready' && message
    })
    const told = { kind: seen.kind, ...seen.media, caption: seen.text }
    for (const [name, value] of Object.entries({ kind, sha256: sha256(bytes), size: bytes.length, ...wanted })) {
        if (told[name] !== value) throw new Error(`${kind}: ${name} is ${JSON.stringify(told[name])}, not ${JSON.stringify(value)}`)
    }
    const answer = await fetch(`${product.ready.sandbox.admin}/admin${product.phonePath(phone, `/messages/${id}/media`)}`)
    if (!Buffer.from(await answer.arrayBuffer()).equals(bytes)) throw new Error(`${kind}: other bytes came out`)
    return seen
}

/** A phone sends a file; answers the message id. */
async function sends(product, phone, to, kind, bytes, more = {}) {
    const body = { to, kind, base64: bytes.toString('base64'), ...more }
    return (await product.control('POST', product.phonePath(phone, '/send-media'), body)).id
}

async function baileysSends(product, bea, carl) {
    const thumbnail = randomBytes(300)
    const sent = {
        image: bytes => ({ image: bytes, caption: 'look', mimetype: 'image/png', width: 5, height: 6, jpegThumbnail: thumbnail.toString('base64') }),
        document: bytes => ({ document: bytes, fileName: '../bill.pdf', mimetype: 'application/pdf', caption: 'pay' }),
        voice_note: bytes => ({ audio: bytes, ptt: true, seconds: 3, mimetype: 'audio/ogg; codecs=opus' }),
        video: bytes => ({ video: bytes, caption: 'film', mimetype: 'video/mp4', seconds: 4, jpegThumbnail: thumbnail.toString('base64') }),
        sticker: bytes => ({ sticker: bytes, mimetype: 'image/webp' })
    }
    const told = {
        image: { caption: 'look', mime: 'image/png', width: 5, height: 6, thumbnail: thumbnail.toString('base64') },
        document: { file_name: '../bill.pdf', mime: 'application/pdf', caption: 'pay' },
        voice_note: { seconds: 3, mime: 'audio/ogg; codecs=opus' },
        video: { caption: 'film', seconds: 4 },
        sticker: { mime: 'image/webp' }
    }
    for (const [kind, content] of Object.entries(sent)) {
        const bytes = bytesOf(kind)
        const message = await bea.socket.sendMessage(jid(carl), content(bytes))
        await opens(product, carl, message.key.id, kind, bytes, told[kind])
        ok(`a phone opens what Baileys sends, byte by byte the same: ${kind}`)
    }
}

async function baileysDownloads(product, bea, friend, carl) {
    for (const kind of ['image', 'video', 'audio', 'voice_note', 'document', 'sticker']) {
        const bytes = bytesOf(kind)
        const id = await sends(product, carl, friend, kind, bytes, { caption: 'for you', file_name: 'a.bin', seconds: 2 })
        const message = await bea.messages.first(`Baileys to get ${kind}`, entry => entry.key.id === id && entry.message)
        const got = await downloadMediaMessage(message, 'buffer', {})
        check(got.equals(bytes), `Baileys downloads and opens what a phone sends: ${kind}`)
    }
    const bytes = bytesOf('again')
    const id = await sends(product, carl, friend, 'image', bytes)
    const message = await bea.messages.first('Baileys to get the last image', entry => entry.key.id === id && entry.message)
    await opens(product, friend, id, 'image', bytes)
    await product.control('POST', '/faults', { phone: carl, fault: { kind: 'media_gone' } })
    const gone = await downloadMediaMessage(message, 'buffer', {}).then(() => 200, error => error.output?.statusCode)
    check(gone === 410, 'a file that has expired is gone for Baileys', gone)
    const updated = await bea.socket.updateMediaMessage(message)
    const again = await downloadMediaMessage(updated, 'buffer', {})
    check(again.equals(bytes), 'its own phone leaves it again when Baileys asks')
}

async function withZapo(product, carl) {
    const { root_key: hex } = await product.control('GET', '/state')
    const friend = await product.phone('Ida')
    const ida = new Zapo(product, newStore(), Uint8Array.from(Buffer.from(hex, 'hex')))
    const came = new Seen()
    ida.client.on('message', event => came.add(event))
    await ida.connect()
    await product.scan(await ida.code(), friend)
    await ida.loggedIn()
    await product.published(friend)

    const sent = {
        image: media => ({ type: 'image', media, mimetype: 'image/jpeg', caption: 'look' }),
        voice_note: media => ({ type: 'audio', media, mimetype: 'audio/ogg; codecs=opus', ptt: true, seconds: 3 }),
        document: media => ({ type: 'document', media, mimetype: 'text/plain', fileName: 'a.txt' }),
        video_note: media => ({ type: 'ptv', media, mimetype: 'video/mp4', seconds: 2 })
    }
    for (const [kind, content] of Object.entries(sent)) {
        const bytes = bytesOf(kind)
        const { id } = await ida.say(jid(carl), content(new Uint8Array(bytes)))
        await opens(product, carl, id, kind, bytes)
        ok(`a phone opens what zapo-js sends, byte by byte the same: ${kind}`)
    }

    const transfer = new WaMediaTransferClient()
    for (const [kind, field, type] of [['image', 'imageMessage', 'image'], ['voice_note', 'audioMessage', 'ptt'], ['document', 'documentMessage', 'document']]) {
        const bytes = bytesOf(kind)
        const id = await sends(product, carl, friend, kind, bytes)
        const { message } = await came.first(`zapo-js to get ${kind}`, event => event.stanzaId === id)
        const { url, directPath, mediaKey, fileSha256, fileEncSha256 } = message[field]
        const hosts = [product.ready.sandbox.media_host].filter(Boolean)
        const got = await transfer.downloadAndDecrypt({ url, directPath, hosts, mediaType: type, mediaKey, fileSha256, fileEncSha256 })
        check(Buffer.from(got).equals(bytes), `zapo-js downloads and verifies what a phone sends: ${kind}`)
    }
    await ida.leave()
}
