// Prints every type and member that an assembly refers to, one a line: what the allow-list is held against.
using System;
using System.Linq;
using System.Reflection;

public static class References
{
    public static int Main(string[] arguments)
    {
        var module = Assembly.LoadFrom(arguments[0]).GetModules()[0];
        foreach (var token in Tokens(module, 0x01000001)) Console.WriteLine("type " + Name(module.ResolveType(token)));
        foreach (var token in Tokens(module, 0x0A000001))
        {
            var member = module.ResolveMember(token);
            Console.WriteLine("member " + Name(member.DeclaringType) + " " + member.Name);
        }
        return 0;
    }

    static System.Collections.Generic.IEnumerable<int> Tokens(Module module, int first)
    {
        for (var token = first; ; token++)
        {
            try { if ((token >> 24) == 1) module.ResolveType(token); else module.ResolveMember(token); }
            catch (ArgumentException) { yield break; } // past the table's last row
            yield return token;
        }
    }

    static string Name(Type type)
    {
        if (type == null) return "?";
        if (type.IsArray) return Name(type.GetElementType());
        if (type.IsNested) return Name(type.DeclaringType) + "+" + type.Name.Split('`')[0];
        return type.Namespace + "." + type.Name.Split('`')[0];
    }
}
