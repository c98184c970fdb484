// A small gateway: runs tokenised policies over scenarios and tells what it saw. Semantics are the documented
// ones as far as the fragments use them; a policy that is not known here is a violation, never skipped.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Xml.Linq;
using Apim;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

public class Stop : Exception { }

public class Refused : Exception
{
    public readonly string Source2, Reason;
    public Refused(string source, string reason, string message) : base(message) { Source2 = source; Reason = reason; }
}

public class Body : IMessageBody
{
    public string Text; public bool Consumed, Read, Consuming;
    public Action<Body, Type> OnRead = (b, t) => { };

    public T As<T>(bool preserveContent = false)
    {
        OnRead(this, typeof(T));
        Read = true;
        if (Consumed) throw new InvalidOperationException("the body was consumed before");
        if (!preserveContent) { Consumed = true; Consuming = true; }
        object value;
        if (typeof(T) == typeof(string)) value = Text;
        else if (typeof(T) == typeof(byte[])) value = Encoding.UTF8.GetBytes(Text);
        else if (typeof(T) == typeof(JObject)) value = JObject.Parse(Text);
        else if (typeof(T) == typeof(JArray)) value = JArray.Parse(Text);
        else if (typeof(T) == typeof(JToken)) value = JToken.Parse(Text);
        else throw new InvalidOperationException("As<" + typeof(T).Name + "> is not documented");
        return (T)value;
    }
}

public class Url : IUrl
{
    readonly Uri uri;
    public Url(string text) { uri = new Uri(text); }
    public string Host { get { return uri.Host; } }
    public string Path { get { return uri.AbsolutePath; } }
    public int Port { get { return uri.Port; } }
    public string Scheme { get { return uri.Scheme; } }
    public string QueryString { get { return uri.Query; } }
    public IReadOnlyDictionary<string, string[]> Query
    {
        get
        {
            return uri.Query.TrimStart('?').Split(new[] { '&' }, StringSplitOptions.RemoveEmptyEntries).Select(p => p.Split('='))
                .ToDictionary(p => p[0], p => new[] { p.Length > 1 ? Uri.UnescapeDataString(p[1]) : "" });
        }
    }
    public override string ToString() { return uri.ToString(); }
}

public class Message : IRequest, IResponse
{
    public Func<string, bool> Throws; public string Kind;
    public Body TheBody; public Dictionary<string, string[]> TheHeaders = new Dictionary<string, string[]>(StringComparer.OrdinalIgnoreCase);
    public Dictionary<string, string> TheParameters = new Dictionary<string, string>();
    public int TheStatus; public string TheReason = ""; public Url TheUrl, TheOriginalUrl; public string TheMethod, TheAddress;

    T Or<T>(string member, T value) { if (Throws(Kind + "." + member)) throw new Exception("planted: " + Kind + "." + member); return value; }
    public IMessageBody Body { get { return Or("Body", TheBody); } }
    public IReadOnlyDictionary<string, string[]> Headers { get { return Or("Headers", TheHeaders); } }
    public IReadOnlyDictionary<string, string> MatchedParameters { get { return Or("MatchedParameters", TheParameters); } }
    public string Method { get { return Or("Method", TheMethod); } }
    public string IpAddress { get { return Or("IpAddress", TheAddress); } }
    public IUrl Url { get { return Or("Url", TheUrl); } }
    public IUrl OriginalUrl { get { return Or("OriginalUrl", TheOriginalUrl); } }
    public int StatusCode { get { return Or("StatusCode", TheStatus); } }
    public string StatusReason { get { return Or("StatusReason", TheReason); } }

    public bool IsStream
    {
        get { return TheHeaders.ContainsKey("Content-Type") && TheHeaders["Content-Type"][0].StartsWith("text/event-stream", StringComparison.OrdinalIgnoreCase); }
    }
}

public class Context : IProxyRequestContext
{
    public HashSet<string> Throwing = new HashSet<string>();
    public Message TheRequest, TheResponse; public LastError TheError;
    public Subscription TheSubscription; public Product TheProduct; public Api TheApi = new Api(); public Operation TheOperation = new Operation();
    public Guid TheId; public DateTime TheTime;
    public Dictionary<string, object> TheVariables = new Dictionary<string, object>();

    T Or<T>(string member, T value) { if (Throwing.Contains(member)) throw new Exception("planted: " + member); return value; }
    public Api Api { get { return Or("Api", TheApi); } }
    public Deployment Deployment { get { return Or("Deployment", new Deployment { Region = "West Europe", ServiceName = "apim-contoso" }); } }
    public TimeSpan Elapsed { get { return Or("Elapsed", TimeSpan.FromMilliseconds(840)); } }
    public LastError LastError { get { return Or("LastError", TheError); } }
    public Operation Operation { get { return Or("Operation", TheOperation); } }
    public Product Product { get { return Or("Product", TheProduct); } }
    public IRequest Request { get { return Or("Request", TheRequest); } }
    public IResponse Response { get { return Or("Response", TheResponse); } }
    public Guid RequestId { get { return Or("RequestId", TheId); } }
    public Subscription Subscription { get { return Or("Subscription", TheSubscription); } }
    public DateTime Timestamp { get { return Or("Timestamp", TheTime); } }
    public bool Tracing { get { return false; } }
    public User User { get { return Or("User", (User)null); } }
    public IReadOnlyDictionary<string, object> Variables { get { return TheVariables; } }
    public void Trace(string message) { }
}

public class Run
{
    readonly IDictionary<string, string> fragments;
    readonly Dictionary<string, Func<IProxyRequestContext, object>> expressions = Exprs.All();
    readonly JObject scenario; readonly Context context = new Context();
    readonly JArray hub = new JArray(), violations = new JArray(), metrics = new JArray(), trail = new JArray(), sent = new JArray();
    readonly Dictionary<string, string> limitHeaders = new Dictionary<string, string>();
    string section, backend; int forwarded; bool unbuffered, inFragment;

    public Run(IDictionary<string, string> fragments, JObject scenario)
    {
        this.fragments = fragments; this.scenario = scenario;
        foreach (var name in List("throws")) context.Throwing.Add((string)name);
        var who = (JObject)scenario["context"] ?? new JObject();
        context.TheId = Guid.Parse((string)who["request_id"]);
        context.TheTime = DateTime.Parse((string)who["time"], null, System.Globalization.DateTimeStyles.RoundtripKind);
        if (Has(who["subscription"])) context.TheSubscription = new Subscription {
            Id = (string)who["subscription"]["id"], Name = (string)who["subscription"]["name"], Key = (string)who["subscription"]["key"] };
        if (Has(who["product"])) context.TheProduct = new Product { Id = (string)who["product"]["id"], Name = (string)who["product"]["name"] };
        context.TheOperation.Id = (string)who["operation"]; context.TheApi.Id = "azure-openai"; context.TheApi.Path = "openai";
        var asked = (JObject)scenario["request"];
        context.TheRequest = Filled(asked, "Request");
        context.TheRequest.TheUrl = context.TheRequest.TheOriginalUrl = new Url((string)asked["url"]);
        context.TheRequest.TheMethod = (string)asked["method"] ?? "POST"; context.TheRequest.TheAddress = "203.0.113.7";
        foreach (var each in ((JObject)asked["matched"] ?? new JObject()).Properties()) context.TheRequest.TheParameters[each.Name] = (string)each.Value;
        foreach (var each in ((JObject)scenario["variables"] ?? new JObject()).Properties()) context.TheVariables[each.Name] = ((JValue)each.Value).Value;
    }

    static bool Has(JToken token) { return token != null && token.Type != JTokenType.Null; }
    IEnumerable<JToken> List(string name) { return Has(scenario[name]) ? (IEnumerable<JToken>)scenario[name] : new JToken[0]; }
    void Violation(string text) { if (violations.All(each => (string)each != text)) violations.Add(text); }

    Message Filled(JObject from, string kind)
    {
        var message = new Message { Kind = kind, Throws = name => context.Throwing.Contains(name) };
        foreach (var each in ((JObject)from["headers"] ?? new JObject()).Properties()) message.TheHeaders[each.Name] = new[] { (string)each.Value };
        if (Has(from["body"])) message.TheBody = Made((string)from["body"], kind, message);
        return message;
    }

    Body Made(string text, string kind, Message owner)
    {
        return new Body { Text = text, OnRead = (body, type) => {
            if (body.Consumed) Violation(kind.ToLower() + " body read after it was consumed");
            if (kind == "Response" && owner.IsStream) trail.Add("stream read");
            if (kind == "Response" && owner.TheStatus >= 400) trail.Add("failure read");
        } };
    }

    // ---- expressions

    object Evaluate(string text)
    {
        var trimmed = (text ?? "").Trim();
        if (expressions.ContainsKey(trimmed)) return expressions[trimmed](context);
        if (trimmed.Contains("@@E")) Violation("an expression inside other text: " + trimmed);
        return text ?? "";
    }

    string Text(XElement element, string attribute, string otherwise = null)
    {
        var found = element.Attribute(attribute);
        return found == null ? otherwise : Convert.ToString(Evaluate(found.Value), System.Globalization.CultureInfo.InvariantCulture);
    }

    bool Condition(XElement element) { return (bool)Evaluate(element.Attribute("condition").Value); }

    // ---- statements

    void All(IEnumerable<XElement> elements) { foreach (var element in elements) One(element); }

    void One(XElement element)
    {
        var request = context.TheRequest; var response = context.TheResponse;
        var current = section == "inbound" || section == "backend" ? request : response;
        switch (element.Name.LocalName)
        {
            case "base":
                if (inFragment) Violation("a fragment must not hold <base />");
                if (section == "backend") Forward(element);
                break;
            case "set-variable": context.TheVariables[element.Attribute("name").Value] = Evaluate(element.Attribute("value").Value); break;
            case "choose":
                foreach (var branch in element.Elements())
                    if (branch.Name.LocalName == "otherwise" || Condition(branch)) { All(branch.Elements()); break; }
                break;
            case "include-fragment":
                var id = element.Attribute("fragment-id").Value;
                if (inFragment) Violation("a fragment must not include another: " + id);
                if (!fragments.ContainsKey(id)) { Violation("no fragment " + id); break; }
                inFragment = true;
                try { All(XElement.Parse(fragments[id]).Elements()); } finally { inFragment = false; }
                break;
            case "set-header": SetHeader(element, current); break;
            case "set-status":
                response.TheStatus = int.Parse(Text(element, "code")); response.TheReason = Text(element, "reason", ""); break;
            case "set-body":
                if (current == response && response.IsStream) Violation("set-body replaces a stream");
                current.TheBody = Made(Convert.ToString(Evaluate(element.Value)), current.Kind, current); break;
            case "set-backend-service": backend = Text(element, "backend-id") ?? Text(element, "base-url"); trail.Add("backend " + backend); break;
            case "forward-request": Forward(element); break;
            case "retry": Retry(element); break;
            case "return-response":
                context.TheResponse = new Message { Kind = "Response", TheStatus = 200, Throws = name => context.Throwing.Contains(name) };
                var before = section; section = "outbound";
                All(element.Elements());
                section = before;
                throw new Stop();
            case "log-to-eventhub": Log(element); break;
            case "llm-emit-token-metric": case "azure-openai-emit-token-metric": case "emit-metric":
                if (section != "inbound") Violation(element.Name.LocalName + " belongs into inbound");
                var dimensions = new JObject();
                foreach (var dimension in element.Elements("dimension")) dimensions[dimension.Attribute("name").Value] = Text(dimension, "value");
                metrics.Add(dimensions); break;
            case "rate-limit-by-key": case "llm-token-limit": case "azure-openai-token-limit": Limit(element); break;
            case "validate-azure-ad-token": Validate(element); break;
            case "authentication-managed-identity":
                var token = "managed-identity " + Text(element, "resource");
                if (element.Attribute("output-token-variable-name") == null) request.TheHeaders["Authorization"] = new[] { "Bearer " + token };
                else context.TheVariables[element.Attribute("output-token-variable-name").Value] = token;
                break;
            default: Violation("unknown policy <" + element.Name.LocalName + ">"); break;
        }
    }

    void SetHeader(XElement element, Message current)
    {
        var name = Text(element, "name"); var action = Text(element, "exists-action", "override");
        if (action == "delete") { current.TheHeaders.Remove(name); return; }
        if (action == "skip" && current.TheHeaders.ContainsKey(name)) return;
        current.TheHeaders[name] = element.Elements("value").Select(each => Convert.ToString(Evaluate(each.Value))).ToArray();
    }

    void Forward(XElement element)
    {
        var request = context.TheRequest;
        if (request.TheBody != null && request.TheBody.Consumed) Violation("request body consumed before forward-request");
        var resends = element.Parent != null && element.Parent.Name.LocalName == "retry";
        if (resends && Text(element, "buffer-request-body", "false") != "true") Violation("a retried request needs buffer-request-body");
        unbuffered = Text(element, "buffer-response", "true") == "false";
        var places = scenario["backends"] as JObject ?? new JObject();
        var place = backend != null ? places[backend] : null;
        if (backend != null && place == null) Violation("no backend " + backend);
        if (place is JArray) place = place[forwarded % ((JArray)place).Count]; // a pool: the next of its members
        if (Has(place)) request.TheUrl = new Url((string)place + request.TheOriginalUrl.Path + request.TheOriginalUrl.QueryString);
        var headers = new JObject();
        foreach (var each in request.TheHeaders) headers[each.Key] = string.Join(",", each.Value);
        sent.Add(new JObject(new JProperty("url", request.TheUrl.ToString()), new JProperty("headers", headers),
            new JProperty("body", request.TheBody == null ? null : request.TheBody.Text)));
        var answers = (JArray)scenario["responses"];
        var answer = (JObject)answers[Math.Min(forwarded, answers.Count - 1)];
        forwarded++;
        if (Has(answer["unreachable"])) { context.TheResponse = null; throw new Refused("forward-request", "BackendConnectionFailure", "no connection"); }
        context.TheResponse = Filled(answer, "Response");
        context.TheResponse.TheStatus = (int)answer["status"];
        if (context.TheResponse.IsStream && !unbuffered) Violation("a stream is forwarded with buffer-response on");
    }

    void Retry(XElement element)
    {
        for (var left = int.Parse(Text(element, "count")); ; left--)
        {
            All(element.Elements());
            if (left == 0 || !Condition(element)) return;
        }
    }

    void Log(XElement element)
    {
        if (element.Attribute("partition-id") != null && element.Attribute("partition-key") != null) Violation("partition-id and partition-key exclude each other");
        foreach (var plain in new[] { "logger-id", "partition-id" })
            if ((string)element.Attribute(plain) != null && ((string)element.Attribute(plain)).Contains("@@E")) Violation(plain + " takes no expression");
        var body = Convert.ToString(Evaluate(element.Value));
        if (Encoding.UTF8.GetByteCount(body) > 200000) Violation("an event over 200,000 bytes: the gateway would cut it");
        hub.Add(new JObject(new JProperty("logger", (string)element.Attribute("logger-id")),
            new JProperty("partition_key", Text(element, "partition-key")), new JProperty("section", section), new JProperty("body", body)));
    }

    void Limit(XElement element)
    {
        var policy = element.Name.LocalName; var told = new JObject(new JProperty("policy", policy));
        foreach (var attribute in element.Attributes()) told[attribute.Name.LocalName] = Convert.ToString(Evaluate(attribute.Value));
        trail.Add(told);
        if (List("exceeded").Any(each => (string)each == policy))
        {
            context.TheResponse = new Message { Kind = "Response", TheStatus = 429, TheReason = "Too Many Requests", Throws = name => context.Throwing.Contains(name) };
            context.TheResponse.TheBody = Made("{\"statusCode\":429,\"message\":\"limit\"}", "Response", context.TheResponse);
            context.TheResponse.TheHeaders[Text(element, "retry-after-header-name", "Retry-After")] = new[] { "37" };
            throw new Refused(policy, policy == "rate-limit-by-key" ? "RateLimitExceeded" : "TokenLimitExceeded", "limit");
        }
        foreach (var attribute in new[] { "remaining-calls-header-name", "remaining-tokens-header-name", "tokens-consumed-header-name", "remaining-quota-tokens-header-name" })
            if (element.Attribute(attribute) != null) limitHeaders[Text(element, attribute)] = "100";
    }

    void Validate(XElement element)
    {
        var header = context.TheRequest.Headers.GetValueOrDefault(Text(element, "header-name", "Authorization"), "");
        var token = header.StartsWith("Bearer ") ? header.Substring(7).AsJwt() : null;
        var audiences = element.Descendants("audience").Select(each => Convert.ToString(Evaluate(each.Value)).Trim()).ToList();
        var good = token != null && token.Claims.GetValueOrDefault("tid", "") == Text(element, "tenant-id")
            && (audiences.Count == 0 || audiences.Contains(token.Claims.GetValueOrDefault("aud", "")));
        if (!good)
        {
            context.TheResponse = new Message { Kind = "Response", TheStatus = int.Parse(Text(element, "failed-validation-httpcode", "401")), TheReason = "Unauthorized",
                Throws = name => context.Throwing.Contains(name) };
            throw new Refused("validate-azure-ad-token", "TokenInvalid", "the token is not valid");
        }
        if (element.Attribute("output-token-variable-name") != null) context.TheVariables[element.Attribute("output-token-variable-name").Value] = token;
    }

    // ---- the pipeline

    void Section(XElement policies, string name)
    {
        section = name;
        var found = policies.Element(name);
        if (found != null) All(found.Elements());
    }

    public JObject Of(string policy)
    {
        string error = null;
        var policies = XElement.Parse(policy);
        try { foreach (var name in new[] { "inbound", "backend", "outbound" }) Section(policies, name); }
        catch (Stop) { }
        catch (Exception fault) { error = OnError(policies, fault); }
        foreach (var each in limitHeaders) if (context.TheResponse != null && error == null) context.TheResponse.TheHeaders[each.Key] = new[] { each.Value };
        return Told(error);
    }

    string OnError(XElement policies, Exception fault)
    {
        var refused = fault as Refused;
        context.TheError = new LastError { Source = refused == null ? "expression" : refused.Source2, Section = section, Message = fault.Message,
            Reason = refused == null ? "ExpressionValueEvaluationFailure" : refused.Reason };
        // A limit or a refused token brings its own answer; everything else becomes the gateway's 500.
        if (refused == null || context.TheResponse == null)
            context.TheResponse = new Message { Kind = "Response", TheStatus = 500, TheReason = "Internal Server Error", Throws = name => context.Throwing.Contains(name) };
        var error = context.TheError.Source + ": " + context.TheError.Reason + ": " + fault.Message;
        try { Section(policies, "on-error"); }
        catch (Stop) { }
        catch (Exception second) { error += "; on-error: " + second.Message; }
        return error;
    }

    JObject Told(string error)
    {
        var answer = context.TheResponse; var headers = new JObject(); var variables = new JObject();
        if (answer != null) foreach (var each in answer.TheHeaders) headers[each.Key] = string.Join(",", each.Value);
        foreach (var each in context.TheVariables) if (each.Value is string || each.Value is int || each.Value is bool) variables[each.Key] = new JValue(each.Value);
        if (answer != null && answer.TheBody != null && answer.TheBody.Consumed) Violation("response body consumed: the client gets nothing");
        return new JObject(
            new JProperty("hub", hub), new JProperty("violations", violations), new JProperty("error", error),
            new JProperty("status", answer == null ? 0 : answer.TheStatus), new JProperty("headers", headers),
            new JProperty("body", answer == null || answer.TheBody == null ? null : answer.TheBody.Text),
            new JProperty("buffered", trail.Any(each => each.Type == JTokenType.String && (string)each == "stream read")),
            new JProperty("sent", sent), new JProperty("variables", variables), new JProperty("metrics", metrics), new JProperty("trail", trail));
    }

    // A line of input: {"policies": {id: xml}, "fragments": {id: xml}, "scenarios": [...]}; a line of output: [result, ...].
    public static int Main()
    {
        Console.InputEncoding = Console.OutputEncoding = new UTF8Encoding(false);
        var settings = new JsonSerializerSettings { DateParseHandling = DateParseHandling.None };
        for (var line = Console.In.ReadLine(); line != null; line = Console.In.ReadLine())
        {
            var input = JsonConvert.DeserializeObject<JObject>(line, settings);
            var fragments = input["fragments"].ToObject<Dictionary<string, string>>();
            var told = new JArray();
            foreach (JObject scenario in input["scenarios"])
                told.Add(new Run(fragments, scenario).Of((string)input["policies"][(string)scenario["policy"]]));
            Console.WriteLine(told.ToString(Formatting.None));
            Console.Out.Flush();
        }
        return 0;
    }
}
