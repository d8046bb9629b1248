// Forms that are filled in wrongly: each refusal stands beside its field, what was entered stays, and nothing is made.
import { check } from '../product.mjs'
import { XSS } from './browser.mjs'

/** Fills in a form, sends it, and waits for the refusal of a field. */
async function refuses(page, path, button, entries, field) {
    await page.goto(path)
    for (const [id, value] of Object.entries(entries)) await page.locator(`#${id}`).fill(value)
    await page.getByRole('button', { name: button }).click()
    await page.locator(`#${field}-error`).waitFor()
    for (const [id, value] of Object.entries(entries)) {
        const kept = await page.locator(`#${id}`).inputValue()
        check(kept === value, `${new URL(page.url()).pathname}: ${id} is kept`, kept.slice(0, 80))
    }
    check(await page.locator('main [role="alert"]').count() === 1, `${field} is refused beside its field, and said above`)
}

export async function refusals(watched, page, api) {
    const admin = `${api}/admin`
    await refuses(page, `${admin}/contacts/new/`, 'Add the contact', { phone: '12', name: XSS }, 'phone')
    await watched.look(page, 'contact-new-refused')
    await refuses(page, `${admin}/contacts/new/`, 'Add the contact', { phone: '+4915123450009', fields: 'nonsense' }, 'fields')
    await page.goto(`${admin}/contacts/?search=4915123450009`)
    check(await page.getByText('No contact fits').count() === 1, 'a refused contact was not made')
    await refuses(page, `${admin}/opt-outs/`, 'Send nothing any more', { 'new-phone': 'nobody', note: XSS }, 'phone')
    await watched.look(page, 'opt-out-refused')
    await page.goto(`${admin}/campaigns/new/`)
    const file = csv => ({ name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) })
    const tried = async (text, csv, field) => {
        await page.getByLabel('Text').fill(text)
        await page.getByLabel('Recipients').setInputFiles(file(csv))
        await page.getByRole('button', { name: 'Make the draft' }).click()
        await page.locator(`#${field}-error`).waitFor()
        check(await page.getByLabel('Text').inputValue() === text, `a campaign with a wrong ${field} is refused beside it`)
    }
    await tried('', 'phone\n+12025550123\n', 'content')
    await tried('Hi', 'who,name\n1,Ann\n', 'file')
    await tried('Hi', 'phone\n', 'file')
    await watched.look(page, 'campaign-new-file-refused')
    await page.goto(`${admin}/campaigns/`)
    check(await page.getByText('No campaign').count() === 1, 'and none was made')
}
