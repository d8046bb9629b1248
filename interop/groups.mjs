// A group of Baileys, zapo-js and a virtual phone: each sees what each of the others writes to it, sealed once under
// the writer's sender key.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Companion as Baileys } from './companions/baileys.mjs'
import { Companion as Zapo, newStore } from './companions/zapo.mjs'
import { check, ok, story, until } from './product.mjs'

const LIMIT = 180_000
const jid = phone => `${phone.slice(1)}@s.whatsapp.net`

await story('groups', LIMIT, async start => {
    const product = await start()
    const folder = mkdtempSync(join(tmpdir(), 'sanasend-groups-'))
    try {
        await together(product, folder)
    } finally {
        rmSync(folder, { recursive: true, force: true })
    }
})

/** Waits until the phone shows a text in the group. */
async function shows(product, phone, group, text) {
    await until(`${phone} to show ${JSON.stringify(text)}`, async () => {
        const shown = await product.control('GET', product.phonePath(phone, '/messages'))
        return shown.some(message => message.chat === group && message.text === text)
    })
}

async function together(product, folder) {
    const [carl, b, i] = [await product.phone('Carl'), await product.phone('Bea'), await product.phone('Ida')]
    const bea = await new Baileys(product, folder, { tls: true }).link(b)
    const { root_key: hex } = await product.control('GET', '/state')
    const ida = new Zapo(product, newStore(), Uint8Array.from(Buffer.from(hex, 'hex')))
    await ida.connect()
    await product.scan(await ida.code(), i)
    await ida.loggedIn()
    await product.published(b)
    await product.published(i)

    const made = await bea.socket.groupCreate('Bread', [jid(carl), jid(i)])
    const group = made.id
    check(made.participants.length === 3, 'Baileys makes a group of three', made)
    const known = await bea.socket.groupMetadata(group)
    check(known.subject === 'Bread', 'and reads it back', known)
    await bea.socket.groupUpdateDescription(group, 'Fresh at eight.')
    await bea.socket.groupSettingUpdate(group, 'announcement')
    const all = await bea.socket.groupFetchAllParticipating()
    const told = all[group]
    check(told?.desc === 'Fresh at eight.' && told.announce && told.size === 3 && told.participants.length === 3, 'and finds it among its groups, described and limited to admins', all)
    await bea.socket.groupSettingUpdate(group, 'not_announcement')

    await bea.say(group, 'from Baileys')
    await shows(product, carl, group, 'from Baileys')
    await ida.sees('from Baileys')
    ok('a phone and zapo-js open what Baileys writes to the group')
    await ida.say(group, 'from zapo-js')
    await shows(product, carl, group, 'from zapo-js')
    await bea.sees('from zapo-js')
    ok('a phone and Baileys open what zapo-js writes to the group')
    await product.control('POST', product.phonePath(carl, '/send'), { to: group, text: 'from a phone' })
    await bea.sees('from a phone')
    await ida.sees('from a phone')
    ok('Baileys and zapo-js open what a phone writes to the group')
    await bea.say(group, 'and again')
    await shows(product, carl, group, 'and again')
    await ida.sees('and again')
    ok('a second text needs no new key')
    await bea.leave()
    await ida.leave()
}
