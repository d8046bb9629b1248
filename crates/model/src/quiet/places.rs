//! Which clocks belong to which country code. A table and nothing else.
//!
//! By the longest prefix of the number; of several zones the one with most people stands first. Zones that always show the
//! same as another of their country are left out.

use super::area_codes;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The zones of a number without its `+`; none when no country has it.
pub(super) fn of(digits: &str) -> &'static [&'static str] {
    let longest = (1..=digits.len().min(4)).rev();
    longest.filter_map(|length| digits.get(..length)).find_map(zones).unwrap_or_default()
}

/// Prefixes of numbers, and the zones that belong to them.
const ZONES: &[(&[&str], &[&str])] = &[
    // North America shares one code: this is for numbers that belong to no place there.
    (
        &["1"],
        &[
            "America/New_York",
            "America/Chicago",
            "America/Los_Angeles",
            "America/Denver",
            "America/Phoenix",
            "America/Halifax",
            "America/St_Johns",
            "America/Anchorage",
            "Pacific/Honolulu",
        ],
    ),
    (&["1242"], &["America/Nassau"]),
    (&["1246"], &["America/Barbados"]),
    (&["1264", "1268", "1284", "1340", "1473", "1664", "1721", "1758", "1767", "1784", "1868", "1869"], &["America/Port_of_Spain"]),
    (&["1345"], &["America/Cayman"]),
    (&["1441"], &["Atlantic/Bermuda"]),
    (&["1649"], &["America/Grand_Turk"]),
    (&["1658", "1876"], &["America/Jamaica"]),
    (&["1670", "1671"], &["Pacific/Guam"]),
    (&["1684"], &["Pacific/Pago_Pago"]),
    (&["1787", "1939"], &["America/Puerto_Rico"]),
    (&["1809", "1829", "1849"], &["America/Santo_Domingo"]),
    (&["20"], &["Africa/Cairo"]),
    (&["211"], &["Africa/Juba"]),
    (&["212"], &["Africa/Casablanca"]),
    (&["213"], &["Africa/Algiers"]),
    (&["216"], &["Africa/Tunis"]),
    (&["218"], &["Africa/Tripoli"]),
    (&["220", "221", "222", "223", "224", "225", "226", "228", "232", "233", "290"], &["Africa/Abidjan"]),
    (&["227", "229", "234", "235", "236", "237", "240", "241", "242", "244"], &["Africa/Lagos"]),
    (&["230"], &["Indian/Mauritius"]),
    (&["231"], &["Africa/Monrovia"]),
    (&["238"], &["Atlantic/Cape_Verde"]),
    (&["239"], &["Africa/Sao_Tome"]),
    (&["243"], &["Africa/Kinshasa", "Africa/Lubumbashi"]),
    (&["245"], &["Africa/Bissau"]),
    (&["246"], &["Indian/Chagos"]),
    (&["247"], &["Atlantic/St_Helena"]),
    (&["248"], &["Indian/Mahe"]),
    (&["249"], &["Africa/Khartoum"]),
    (&["250", "257", "258", "260", "263", "265", "267"], &["Africa/Maputo"]),
    (&["251", "252", "253", "254", "255", "256", "261", "269", "291"], &["Africa/Nairobi"]),
    (&["262"], &["Indian/Reunion", "Indian/Mayotte"]),
    (&["264"], &["Africa/Windhoek"]),
    (&["266", "268", "27"], &["Africa/Johannesburg"]),
    (&["297"], &["America/Aruba"]),
    (&["298"], &["Atlantic/Faroe"]),
    (&["299"], &["America/Nuuk", "America/Scoresbysund", "America/Danmarkshavn", "America/Thule"]),
    (&["30"], &["Europe/Athens"]),
    (&["31"], &["Europe/Amsterdam"]),
    (&["32"], &["Europe/Brussels"]),
    (&["33"], &["Europe/Paris"]),
    (&["34"], &["Europe/Madrid", "Atlantic/Canary"]),
    (&["350"], &["Europe/Gibraltar"]),
    (&["351"], &["Europe/Lisbon", "Atlantic/Azores"]),
    (&["352"], &["Europe/Luxembourg"]),
    (&["353"], &["Europe/Dublin"]),
    (&["354"], &["Atlantic/Reykjavik"]),
    (&["355"], &["Europe/Tirane"]),
    (&["356"], &["Europe/Malta"]),
    (&["357"], &["Asia/Nicosia"]),
    (&["358"], &["Europe/Helsinki"]),
    (&["359"], &["Europe/Sofia"]),
    (&["36"], &["Europe/Budapest"]),
    (&["370"], &["Europe/Vilnius"]),
    (&["371"], &["Europe/Riga"]),
    (&["372"], &["Europe/Tallinn"]),
    (&["373"], &["Europe/Chisinau"]),
    (&["374"], &["Asia/Yerevan"]),
    (&["375"], &["Europe/Minsk"]),
    (&["376"], &["Europe/Andorra"]),
    (&["377"], &["Europe/Monaco"]),
    (&["378", "39"], &["Europe/Rome"]),
    (&["380"], &["Europe/Kyiv"]),
    (&["381", "382", "383", "385", "386", "387", "389"], &["Europe/Belgrade"]),
    (&["40"], &["Europe/Bucharest"]),
    (&["41"], &["Europe/Zurich"]),
    (&["420"], &["Europe/Prague"]),
    (&["421"], &["Europe/Bratislava"]),
    (&["423"], &["Europe/Vaduz"]),
    (&["43"], &["Europe/Vienna"]),
    (&["44"], &["Europe/London"]),
    (&["45"], &["Europe/Copenhagen"]),
    (&["46"], &["Europe/Stockholm"]),
    (&["47"], &["Europe/Oslo"]),
    (&["48"], &["Europe/Warsaw"]),
    (&["49"], &["Europe/Berlin"]),
    (&["500"], &["Atlantic/Stanley"]),
    (&["501"], &["America/Belize"]),
    (&["502"], &["America/Guatemala"]),
    (&["503"], &["America/El_Salvador"]),
    (&["504"], &["America/Tegucigalpa"]),
    (&["505"], &["America/Managua"]),
    (&["506"], &["America/Costa_Rica"]),
    (&["507"], &["America/Panama"]),
    (&["508"], &["America/Miquelon"]),
    (&["509"], &["America/Port-au-Prince"]),
    (&["51"], &["America/Lima"]),
    (&["52"], &["America/Mexico_City", "America/Tijuana", "America/Hermosillo", "America/Cancun"]),
    (&["53"], &["America/Havana"]),
    (&["54"], &["America/Argentina/Buenos_Aires"]),
    (&["55"], &["America/Sao_Paulo", "America/Manaus", "America/Rio_Branco", "America/Noronha"]),
    (&["56"], &["America/Santiago", "America/Punta_Arenas", "Pacific/Easter"]),
    (&["57"], &["America/Bogota"]),
    (&["58"], &["America/Caracas"]),
    (&["590"], &["America/Guadeloupe"]),
    (&["591"], &["America/La_Paz"]),
    (&["592"], &["America/Guyana"]),
    (&["593"], &["America/Guayaquil", "Pacific/Galapagos"]),
    (&["594"], &["America/Cayenne"]),
    (&["595"], &["America/Asuncion"]),
    (&["596"], &["America/Martinique"]),
    (&["597"], &["America/Paramaribo"]),
    (&["598"], &["America/Montevideo"]),
    (&["599"], &["America/Curacao"]),
    (&["60"], &["Asia/Kuala_Lumpur"]),
    (
        &["61"],
        &[
            "Australia/Sydney",
            "Australia/Brisbane",
            "Australia/Perth",
            "Australia/Adelaide",
            "Australia/Darwin",
            "Australia/Lord_Howe",
            "Indian/Christmas",
            "Indian/Cocos",
        ],
    ),
    (&["62"], &["Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"]),
    (&["63"], &["Asia/Manila"]),
    (&["64"], &["Pacific/Auckland", "Pacific/Chatham"]),
    (&["65"], &["Asia/Singapore"]),
    (&["66"], &["Asia/Bangkok"]),
    (&["670"], &["Asia/Dili"]),
    (&["672"], &["Pacific/Norfolk"]),
    (&["673"], &["Asia/Brunei"]),
    (&["674"], &["Pacific/Nauru"]),
    (&["675"], &["Pacific/Port_Moresby", "Pacific/Bougainville"]),
    (&["676"], &["Pacific/Tongatapu"]),
    (&["677"], &["Pacific/Guadalcanal"]),
    (&["678"], &["Pacific/Efate"]),
    (&["679"], &["Pacific/Fiji"]),
    (&["680"], &["Pacific/Palau"]),
    (&["681"], &["Pacific/Wallis"]),
    (&["682"], &["Pacific/Rarotonga"]),
    (&["683"], &["Pacific/Niue"]),
    (&["685"], &["Pacific/Apia"]),
    (&["686"], &["Pacific/Tarawa", "Pacific/Kiritimati", "Pacific/Kanton"]),
    (&["687"], &["Pacific/Noumea"]),
    (&["688"], &["Pacific/Funafuti"]),
    (&["689"], &["Pacific/Tahiti", "Pacific/Marquesas", "Pacific/Gambier"]),
    (&["690"], &["Pacific/Fakaofo"]),
    (&["691"], &["Pacific/Pohnpei", "Pacific/Chuuk"]),
    (&["692"], &["Pacific/Majuro"]),
    (
        &["7"],
        &[
            "Europe/Moscow",
            "Asia/Yekaterinburg",
            "Europe/Samara",
            "Asia/Omsk",
            "Asia/Novosibirsk",
            "Asia/Irkutsk",
            "Asia/Yakutsk",
            "Asia/Vladivostok",
            "Europe/Kaliningrad",
            "Asia/Magadan",
            "Asia/Kamchatka",
        ],
    ),
    (&["76", "77"], &["Asia/Almaty"]),
    (&["81"], &["Asia/Tokyo"]),
    (&["82"], &["Asia/Seoul"]),
    (&["84"], &["Asia/Ho_Chi_Minh"]),
    (&["850"], &["Asia/Pyongyang"]),
    (&["852"], &["Asia/Hong_Kong"]),
    (&["853"], &["Asia/Macau"]),
    (&["855"], &["Asia/Phnom_Penh"]),
    (&["856"], &["Asia/Vientiane"]),
    (&["86"], &["Asia/Shanghai"]),
    (&["880"], &["Asia/Dhaka"]),
    (&["886"], &["Asia/Taipei"]),
    (&["90"], &["Europe/Istanbul"]),
    (&["91"], &["Asia/Kolkata"]),
    (&["92"], &["Asia/Karachi"]),
    (&["93"], &["Asia/Kabul"]),
    (&["94"], &["Asia/Colombo"]),
    (&["95"], &["Asia/Yangon"]),
    (&["960"], &["Indian/Maldives"]),
    (&["961"], &["Asia/Beirut"]),
    (&["962"], &["Asia/Amman"]),
    (&["963"], &["Asia/Damascus"]),
    (&["964"], &["Asia/Baghdad"]),
    (&["965"], &["Asia/Kuwait"]),
    (&["966"], &["Asia/Riyadh"]),
    (&["967"], &["Asia/Aden"]),
    (&["968"], &["Asia/Muscat"]),
    (&["970"], &["Asia/Hebron"]),
    (&["971"], &["Asia/Dubai"]),
    (&["972"], &["Asia/Jerusalem"]),
    (&["973"], &["Asia/Bahrain"]),
    (&["974"], &["Asia/Qatar"]),
    (&["975"], &["Asia/Thimphu"]),
    (&["976"], &["Asia/Ulaanbaatar", "Asia/Hovd"]),
    (&["977"], &["Asia/Kathmandu"]),
    (&["98"], &["Asia/Tehran"]),
    (&["992"], &["Asia/Dushanbe"]),
    (&["993"], &["Asia/Ashgabat"]),
    (&["994"], &["Asia/Baku"]),
    (&["995"], &["Asia/Tbilisi"]),
    (&["996"], &["Asia/Bishkek"]),
    (&["998"], &["Asia/Tashkent"]),
];

static BY_PREFIX: LazyLock<HashMap<&'static str, &'static [&'static str]>> = LazyLock::new(|| {
    let all = ZONES.iter().chain(area_codes::ZONES);
    all.flat_map(|(prefixes, zones)| prefixes.iter().map(move |prefix| (*prefix, *zones))).collect()
});

fn zones(prefix: &str) -> Option<&'static [&'static str]> {
    BY_PREFIX.get(prefix).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Zone;

    #[test]
    fn every_zone_of_the_table_is_one_and_the_longest_prefix_counts() {
        for prefix in 1..10_000 {
            for name in zones(&prefix.to_string()).unwrap_or_default() {
                assert!(Zone::parse(name).is_ok(), "{prefix}: {name}");
            }
        }
        assert_eq!((of("18765551234"), of("18002345678").len()), (&["America/Jamaica"][..], 9));
        assert_eq!((of("12025550123"), of("18505550123").len()), (&["America/New_York"][..], 2));
        let listed: usize = ZONES.iter().chain(area_codes::ZONES).map(|(prefixes, _)| prefixes.len()).sum();
        assert_eq!(BY_PREFIX.len(), listed, "no prefix stands twice");
        assert_eq!((of("77011234567"), of("999")), (&["Asia/Almaty"][..], &[][..]));
    }
}
