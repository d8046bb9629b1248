// A campaign with a file for everybody and quiet hours of its own: what its form refuses and keeps, what its page shows, and that
// the phone has the very file.
import { check, until } from '../product.mjs'
import { says } from './browser.mjs'

const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
const file = (name, mimeType, content) => ({ name, mimeType, buffer: Buffer.from(content) })

export async function campaignWithFile(watched, page, api, product, friend) {
    const people = file('people.csv', 'text/csv', `phone,name\n${friend},Ana\n`)
    const form = page.locator('form[action*="/campaigns/new/?once="]')
    const make = async () => {
        await form.getByLabel('Recipients').setInputFiles(people)
        await form.getByRole('button', { name: 'Make the draft' }).click()
    }
    await page.goto(`${api}/admin/campaigns/new/`)
    await form.getByLabel('Name').fill('Menu')
    await form.getByLabel('Text').fill('Hi {{name}}, our menu')
    await form.getByLabel('Quiet hours').selectOption('false')
    await form.getByLabel('Send the file as').selectOption('image')
    await make()
    await page.locator('#media_type-error').waitFor()
    check(await form.getByLabel('Quiet hours').inputValue() === 'false', 'what was chosen is kept')
    await form.getByLabel('File for everybody').setInputFiles(file('menu.png', 'image/png', 'no picture'))
    await make()
    await page.locator('#media_file-error').waitFor()
    check(await form.getByLabel('File for everybody').getAttribute('aria-invalid') === 'true', 'a wrong file is said beside its field')
    check(await form.getByLabel('Text').inputValue() === 'Hi {{name}}, our menu', 'the text is kept')
    await watched.look(page, 'campaign-new-file-refused')
    await form.getByLabel('File for everybody').setInputFiles({ name: 'menu.png', mimeType: 'image/png', buffer: picture })
    await make()
    await says(page, 'The campaign was made.')
    for (const said of ['menu.png', 'it sends at night too', 'Hi {{name}}, our menu']) await page.getByText(said).first().waitFor()
    check(true, 'the draft shows its file and its quiet hours')
    await watched.look(page, 'campaign-file-draft')
    await page.getByRole('button', { name: 'Start' }).click()
    await page.locator('#campaign-live').getByText('finished', { exact: true }).waitFor()
    const shown = await until('the phone to have the file', async () => {
        const messages = await product.control('GET', product.phonePath(friend, '/messages'))
        return messages.find(message => message.kind === 'image' && message.text === 'Hi Ana, our menu' && message.media.state === 'ready')
    })
    const answer = await fetch(`${product.ready.sandbox.admin}/admin${product.phonePath(friend, `/messages/${shown.id}/media`)}`)
    check(Buffer.from(await answer.arrayBuffer()).equals(picture), 'the phone has the very file')
}
