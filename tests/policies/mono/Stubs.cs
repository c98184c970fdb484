// The documented context of API Management's policy expressions, and nothing else: what is not declared
// here does not compile. learn.microsoft.com, "API Management policy expressions", "Context variable".
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Newtonsoft.Json.Linq;

namespace Apim
{
    public interface IProxyRequestContext
    {
        Api Api { get; }
        Deployment Deployment { get; }
        TimeSpan Elapsed { get; }
        LastError LastError { get; }
        Operation Operation { get; }
        Product Product { get; }
        IRequest Request { get; }
        Guid RequestId { get; }
        IResponse Response { get; }
        Subscription Subscription { get; }
        DateTime Timestamp { get; }
        bool Tracing { get; }
        User User { get; }
        IReadOnlyDictionary<string, object> Variables { get; }
        void Trace(string message);
    }

    public interface IRequest
    {
        IMessageBody Body { get; }
        IReadOnlyDictionary<string, string[]> Headers { get; }
        string IpAddress { get; }
        IReadOnlyDictionary<string, string> MatchedParameters { get; }
        string Method { get; }
        IUrl OriginalUrl { get; }
        IUrl Url { get; }
    }

    public interface IResponse
    {
        IMessageBody Body { get; }
        IReadOnlyDictionary<string, string[]> Headers { get; }
        int StatusCode { get; }
        string StatusReason { get; }
    }

    public interface IMessageBody
    {
        T As<T>(bool preserveContent = false);
    }

    public interface IUrl
    {
        string Host { get; }
        string Path { get; }
        int Port { get; }
        IReadOnlyDictionary<string, string[]> Query { get; }
        string QueryString { get; }
        string Scheme { get; }
    }

    public class Api { public string Id, Name, Path, Revision, Version; }
    public class Deployment { public string GatewayId, Region, ServiceId, ServiceName; }
    public class LastError { public string Source, Reason, Message, Scope, Section, Path, PolicyId; }
    public class Operation { public string Id, Method, Name, UrlTemplate; }
    public class Product { public string Id, Name; public bool ApprovalRequired, SubscriptionRequired; }
    public class Subscription { public string Id, Name, Key, PrimaryKey, SecondaryKey; public DateTime CreatedDate; }
    public class User { public string Id, FirstName, LastName, Email; }

    public class Jwt
    {
        public string Algorithm, Id, Issuer, Subject, Type;
        public IEnumerable<string> Audiences;
        public IReadOnlyDictionary<string, string[]> Claims;
        public DateTime? ExpirationTime, NotBefore;
    }

    public static class ContextExtensions
    {
        public static string GetValueOrDefault(this IReadOnlyDictionary<string, string[]> values, string name, string otherwise)
        {
            foreach (var each in values)
                if (string.Equals(each.Key, name, StringComparison.OrdinalIgnoreCase)) return string.Join(",", each.Value);
            return otherwise;
        }

        public static string GetValueOrDefault(this IReadOnlyDictionary<string, string> values, string name, string otherwise)
        {
            string value;
            return values.TryGetValue(name, out value) ? value : otherwise;
        }

        // A plain cast: a variable of another type throws, as documented.
        public static T GetValueOrDefault<T>(this IReadOnlyDictionary<string, object> values, string name, T otherwise)
        {
            object value;
            return values.TryGetValue(name, out value) ? (T)value : otherwise;
        }

        // Reads claims; checks no signature, which is what the policies of validation are for.
        public static Jwt AsJwt(this string text)
        {
            try
            {
                var parts = text.Split('.');
                var claims = new Dictionary<string, string[]>();
                foreach (var claim in JObject.Parse(Decode(parts[1])).Properties())
                    claims[claim.Name] = claim.Value is JArray ? claim.Value.Select(v => (string)v).ToArray() : new[] { (string)claim.Value };
                return new Jwt { Claims = claims, Algorithm = (string)JObject.Parse(Decode(parts[0]))["alg"] };
            }
            catch (Exception) { return null; }
        }

        public static bool TryParseJwt(this string text, out Jwt token) { token = text.AsJwt(); return token != null; }

        static string Decode(string part)
        {
            var text = part.Replace('-', '+').Replace('_', '/');
            return Encoding.UTF8.GetString(Convert.FromBase64String(text + new string('=', (4 - text.Length % 4) % 4)));
        }
    }
}
