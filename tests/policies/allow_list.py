"""What policy expressions may use: the documented types and members, and what the compiler adds by itself.

learn.microsoft.com, "API Management policy expressions", "CLR types allowed in policy expressions".
"""

_TYPES = {
    "Newtonsoft.Json": "Formatting JsonConvert",
    "Newtonsoft.Json.Linq": "Extensions JArray JConstructor JContainer JObject JProperty JRaw JToken JTokenType JValue",
    "System": """Array BitConverter Boolean Byte Char Convert DateTime DateTimeKind DateTimeOffset Decimal Double
        Exception Guid Int16 Int32 Int64 Math MidpointRounding Nullable Random SByte Single String StringComparer
        StringComparison StringSplitOptions TimeSpan TimeZone TimeZoneInfo Tuple UInt16 UInt32 UInt64 Uri
        UriPartial""",
    "System.Collections.Generic": """Dictionary HashSet ICollection IDictionary IEnumerable IEnumerator IList
        IReadOnlyCollection IReadOnlyDictionary ISet KeyValuePair List Queue Stack""",
    "System.IO": "StringReader StringWriter",
    "System.Linq": "Enumerable",
    "System.Net": "IPAddress WebUtility",
    "System.Security.Cryptography": """AsymmetricAlgorithm CipherMode HashAlgorithm HashAlgorithmName HMAC HMACMD5
        HMACSHA1 HMACSHA256 HMACSHA384 HMACSHA512 KeyedHashAlgorithm MD5 Oid PaddingMode RNGCryptoServiceProvider
        RSA RSAEncryptionPadding RSASignaturePadding SHA1 SHA1Managed SHA256 SHA256Managed SHA384 SHA384Managed
        SHA512 SHA512Managed SymmetricAlgorithm""",
    "System.Text": "Encoding StringBuilder",
    "System.Text.RegularExpressions": "Capture CaptureCollection Group GroupCollection Match Regex RegexOptions",
    "System.Xml": "XmlNodeType",
    "System.Xml.Linq": """Extensions XAttribute XCData XComment XContainer XDeclaration XDocument XDocumentType
        XElement XName XNamespace XNode XNodeDocumentOrderComparer XNodeEqualityComparer XObject
        XProcessingInstruction XText""",
}
TYPES = frozenset(f"{space}.{name}" for space, names in _TYPES.items() for name in names.split())

COMPILER = frozenset(
    {
        # the class that holds the expressions, its registry and closures
        "System.Object",
        "System.Func",
        "System.ValueType",
        "System.Delegate",
        "System.MulticastDelegate",
        "System.Enum",
        "System.Void",
        "System.IntPtr",
        "System.NotSupportedException",
        "System.Runtime.CompilerServices.CompilerGeneratedAttribute",
        "System.Runtime.CompilerServices.RuntimeCompatibilityAttribute",
        "System.Runtime.CompilerServices.ExtensionAttribute",
        "Newtonsoft.Json.JsonConverter",
        # `foreach`: the enumerator of a listed collection, and its disposal
        "System.IDisposable",
        "System.Collections.IEnumerator",
        "System.Collections.Generic.List+Enumerator",
        "System.Collections.Generic.Dictionary+Enumerator",
    }
)

MEMBERS = {
    "Newtonsoft.Json.JsonConvert": "SerializeObject DeserializeObject",
    "System.DateTime": """.ctor Add AddDays AddHours AddMilliseconds AddMinutes AddMonths AddSeconds AddTicks AddYears
        get_Date get_Day get_DayOfWeek get_DayOfYear DaysInMonth get_Hour IsDaylightSavingTime IsLeapYear MaxValue
        get_Millisecond get_Minute MinValue get_Month get_Now Parse get_Second Subtract get_Ticks get_TimeOfDay
        get_Today ToString get_UtcNow get_Year""",
    "System.Text.RegularExpressions.Capture": "get_Index get_Length get_Value",
    "System.Text.RegularExpressions.CaptureCollection": "get_Count get_Item",
    "System.Text.RegularExpressions.Group": "get_Captures get_Success",
    "System.Text.RegularExpressions.GroupCollection": "get_Count get_Item",
    "System.Text.RegularExpressions.Match": "get_Empty get_Groups Result",
    "System.Text.RegularExpressions.Regex": ".ctor IsMatch Match Matches Replace Unescape Split",
}
"""Types of which only some members may be used."""

_BY_NAME = ("Func<", "Action<", "Func <", "Action <", "dynamic ", "typeof")
"""Not seen in the binary, or there for another reason: delegates belong to the registry of the harness."""


def forbidden(references: list[str], sources: list[str]) -> list[str]:
    """Return what the compiled expressions refer to and must not, as readable lines."""
    found: set[str] = set()
    for line in references:
        kind, name, *member = line.split()
        allowed = name in TYPES | COMPILER or name.startswith(("Apim.", "Exprs", ".Exprs"))
        if kind == "type" and not allowed:
            found.add(name)
        if kind == "member" and name in MEMBERS and member[0] not in MEMBERS[name].split():
            found.add(f"{name}.{member[0]}")
        if kind == "member" and name == "System.Xml.Linq.XDocument" and member == ["Load"]:
            found.add("System.Xml.Linq.XDocument.Load")
    found |= {word.strip() for word in _BY_NAME for source in sources if word in source}
    return sorted(found)
